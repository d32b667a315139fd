// What the faults see of the chaos engine: its jobs, its wire, its tables.
#ifndef CHAOS_ENGINE_H
#define CHAOS_ENGINE_H

#include <stddef.h>

/// A job in hand.
struct job {
  int used;
  /// Ignores a cancel.
  int deaf;
  long request;
  long attempt;
  /// When it is answered: milliseconds on the monotonic clock; 0 for never.
  long due;
  long chunks;
  long sent;
  long credit;
  /// Called every `period` milliseconds while the job is in hand; NULL for nothing.
  void (*tick)(struct job *job);
  long period;
  long ticks_at;
  /// How often `tick` has been called.
  long ticks;
  /// Once cancelled, it is answered with a result after so many milliseconds; -1 for the error that belongs there.
  long answer_after_cancel;
  char id[64];
  char work[4096];
  char artifact[256];
};

enum { JOBS = 256 };
extern struct job jobs[JOBS];
/// Nothing more is read from stdin.
extern int stops_reading;
/// Every byte of the wire is a write of its own.
extern int bytewise;

long now_ms(void);
/// Writes bytes to the wire as they are, all of them.
void put(const char *bytes, size_t length);
/// Writes one line.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// Writes a line that has no end yet.
void begin_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// Answers `initialize` well.
void initialize(long id);
/// Answers a job well, and lets go of it.
void finish(struct job *job);
/// Asks the host something; the job is answered when the host has answered, and says how long that took.
void ask(struct job *job);
/// Says that the job goes on.
void say_progress(const struct job *job, long step, const char *message);

/// A fault that a job's task asks for by `mode`. The table ends with a NULL name.
struct job_fault {
  const char *name;
  void (*begin)(struct job *job, const char *task);
};
extern const struct job_fault wire_faults[], time_faults[], memory_faults[], flow_faults[];
extern const struct job_fault flood_faults[], artifact_faults[], process_faults[];

/// A fault of a process's start, by the argument `--fault NAME`. A member that is NULL leaves things as they should be.
struct start_fault {
  const char *name;
  /// At once.
  void (*start)(void);
  /// In place of the answer to `initialize`.
  void (*initialize)(long id);
  /// In place of the answer to `model/load`.
  void (*load)(long id, const char *params);
};
extern const struct start_fault start_faults[];

#endif
