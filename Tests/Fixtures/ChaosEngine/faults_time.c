// Faults of time: jobs that never move, that only seem to, that answer when nobody wants it any more.
#include <stdio.h>

#include "engine.h"
#include "json.h"

static void hang(struct job *job, const char *task) {
  (void)task;
  job->due = 0;
}

static void deaf(struct job *job, const char *task) {
  (void)task;
  job->due = 0;
  job->deaf = 1;
}

static void same(struct job *job) { say_progress(job, 1, "thinking"); }

static void changing(struct job *job) { say_progress(job, job->ticks, "almost there"); }

// The same progress again and again.
static void same_progress(struct job *job, const char *task) {
  hang(job, task);
  job->tick = same;
  job->period = 50;
}

// Progress that always changes and leads nowhere.
static void fake_progress(struct job *job, const char *task) {
  hang(job, task);
  job->tick = changing;
  job->period = 50;
}

// {"after": ms}: answers a cancel with a result, and that late.
static void late_result(struct job *job, const char *task) {
  hang(job, task);
  job->answer_after_cancel = json_long(json_find(task, "after"), 1);
}

const struct job_fault time_faults[] = {
  {"hang", hang},
  {"deaf", deaf},
  {"same-progress", same_progress},
  {"fake-progress", fake_progress},
  {"late-result", late_result},
  {NULL, NULL},
};
