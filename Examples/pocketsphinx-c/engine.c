// Speech to text with PocketSphinx: English, a segment for each stretch of speech between two pauses.
#include "stoker_engine.h"
#include "wav.h"
#include <pocketsphinx.h>
#include <sphinxbase/ckd_alloc.h>
#include <sphinxbase/cmn.h>
#include <sphinxbase/err.h>
#include <sphinxbase/fe.h>
#include <sphinxbase/feat.h>

// Samples: between two looks for a cancel; of the longest segment; of the beginning that the voice is learnt from.
enum { BLOCK = WAV_RATE / 10, LONGEST = 15 * WAV_RATE, LEARNT = 30 * WAV_RATE };
enum { WEIGHT = 500 };  // frames that what was learnt counts for, against what is heard later; the library's own measure
#define MODELS "/usr/share/pocketsphinx/model/en-us/"  // of the package pocketsphinx-en-us

static ps_decoder_t *decoder;
static mfcc_t *means;  // of the sound, as the model has them; the decoder changes its own while it listens
static double maxMinutes = 240;

// The library tells much; what is wrong goes to the log.
static void complain(void *unused, err_lvl_t level, const char *format, ...) {
  (void)unused;
  if (level < ERR_ERROR) return;
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
}

static int initialize(const stoker_json *params) {
  const stoker_json *minutes = stoker_get(stoker_get(params, "config"), "maxAudioMinutes");
  if (minutes) maxMinutes = minutes->number;
  err_set_logfp(NULL);  // a list of two hundred options, and what else does not go through the next
  err_set_callback(complain, NULL);
  cmd_ln_t *options = cmd_ln_init(
      NULL, ps_args(), TRUE, "-hmm", MODELS "en-us", "-lm", MODELS "en-us.lm.bin", "-dict", MODELS "cmudict-en-us.dict", NULL);
  decoder = options ? ps_init(options) : NULL;
  if (options) cmd_ln_free_r(options);
  if (!decoder) {
    fputs("the model in " MODELS " cannot be loaded: apt-get install pocketsphinx-en-us\n", stderr);
    return -1;
  }
  cmn_t *normalisation = ps_get_feat(decoder)->cmn_struct;
  size_t bytes = sizeof *means * (size_t)normalisation->veclen;
  means = memcpy(stoker_room(NULL, bytes), normalisation->cmn_mean, bytes);
  return 0;
}

// What a job has heard so far. Positions are samples from its beginning.
typedef struct {
  stoker_job *job;
  wav in;
  double duration;
  int64_t heard, from;  // all; where the speech began that is listened to
  stoker_buffer text, segments;
  int count;
} hearing;

// Ends the utterance and sends its words, if there are any. Other than 0: return it.
static int end_segment(hearing *state, int64_t to) {
  stoker_buffer one = {0};
  int ended = 0;
  if (ps_end_utt(decoder) < 0) return -1;
  const char *words = ps_get_hyp(decoder, NULL);
  if (words && *words) {
    double end = fmin((double)to / WAV_RATE, state->duration);
    stoker_add(&one, "{\"start\":%.2f,\"end\":%.2f,\"text\":", fmin((double)state->from / WAV_RATE, end), end);
    stoker_add_string(&one, words);
    stoker_add(&one, "}");
    ended = stoker_chunk_json(state->job, "data", one.bytes);
    stoker_add(&state->segments, "%s%s", state->count ? "," : "", one.bytes);
    stoker_add(&state->text, "%s%s", state->count++ ? " " : "", words);
  }
  free(one.bytes);
  return ended;
}

// How the voice sounds on average, the recogniser subtracts from what it hears. It learns that as it goes, too late for the
// first words. So it hears the beginning twice, the first time without looking for words.
static int learn(hearing *state) {
  cmn_t *normalisation = ps_get_feat(decoder)->cmn_struct;
  fe_t *ear = ps_get_fe(decoder);
  int size = fe_get_output_size(ear), width = normalisation->veclen, known = 0, ended = 0;
  enum { ROOM = 64 };  // frames; a block gives ten, and those that were held back while nobody spoke
  mfcc_t **frames = ckd_calloc_2d(ROOM, (size_t)(size > width ? size : width), sizeof **frames);
  double *sums = memset(stoker_room(NULL, sizeof *sums * (size_t)width), 0, sizeof *sums * (size_t)width);
  int16_t block[BLOCK];
  int64_t heard = 0;
  fe_start_stream(ear);
  ended = fe_start_utt(ear);
  for (size_t count; ended == 0 && heard < LEARNT && (count = wav_take(&state->in, block, BLOCK)) > 0;) {
    const int16 *from = block;
    heard += (int64_t)count;
    while (ended == 0 && count > 0) {
      int32 made = ROOM;
      size_t before = count;
      if (stoker_cancelled(state->job) || fe_process_frames(ear, &from, &count, frames, &made, NULL) < 0) ended = -1;
      for (int at = 0; ended == 0 && at < made; at++, known++)
        for (int one = 0; one < width; one++) sums[one] += frames[at][one];
      if (made == 0 && count == before) break;
    }
  }
  int32 rest = 0;
  fe_end_utt(ear, frames[0], &rest);
  // Equal recordings give equal texts, whatever came before.
  normalisation->nframe = known < WEIGHT ? known : WEIGHT;
  for (int one = 0; one < width; one++) {
    normalisation->cmn_mean[one] = known ? (mfcc_t)(sums[one] / known) : means[one];
    normalisation->sum[one] = normalisation->cmn_mean[one] * (mfcc_t)normalisation->nframe;
  }
  free(sums);
  ckd_free_2d(frames);
  return ended;
}

static int listen(hearing *state) {
  int16_t block[BLOCK];
  bool wasSpeech = false;
  if (ps_start_stream(decoder) < 0 || ps_start_utt(decoder) < 0) return -1;
  for (size_t count; (count = wav_take(&state->in, block, BLOCK)) > 0;) {
    if (stoker_cancelled(state->job) || ps_process_raw(decoder, block, count, FALSE, FALSE) < 0) return -1;
    state->heard += (int64_t)count;
    bool isSpeech = ps_get_in_speech(decoder);
    // It is sure of speech three blocks late.
    if (isSpeech && !wasSpeech && state->heard - 3 * BLOCK > state->from) state->from = state->heard - 3 * BLOCK;
    if (wasSpeech && (!isSpeech || state->heard - state->from >= LONGEST)) {
      if (end_segment(state, state->heard) || ps_start_utt(decoder) < 0) return -1;
      state->from = state->heard;
      isSpeech = false;
    }
    wasSpeech = isSpeech;
    stoker_progress(state->job, (double)state->in.read / (double)state->in.frames, "listening");
  }
  return end_segment(state, state->heard);
}

// Whether the task asks for what this model can. Its one language is English, which it neither guesses nor translates.
static int check_wishes(stoker_job *job) {
  const char *language = stoker_text(job, "language", "en"), *times = stoker_text(job, "timestamps", "segment");
  if (stoker_failed(job)) return -1;
  bool isEnglish = strncasecmp(language, "en", 2) == 0 && (!language[2] || strchr("-_", language[2]));
  if (!isEnglish && strcasecmp(language, "english") != 0 && strcasecmp(language, "auto") != 0)
    return stoker_fail(job, STOKER_BAD_INPUT, "task.language: this model knows English only.");
  if (strcmp(times, "segment") != 0)
    return stoker_fail(job, STOKER_UNSUPPORTED, "task.timestamps: this engine gives times of segments, not of words.");
  return 0;
}

static int run(stoker_job *job) {
  hearing state = {.job = job};
  char *path = check_wishes(job) ? NULL : stoker_input(job, "inputUrl");
  if (!path) return -1;
  const char *problem = wav_open(&state.in, path);
  state.duration = problem ? 0 : (double)state.in.frames / state.in.rate;
  int ended = -1;
  if (problem) stoker_fail(job, STOKER_BAD_INPUT, "task.inputUrl %s.", problem);
  else if (state.duration > maxMinutes * 60)
    stoker_fail(job, STOKER_BAD_INPUT, "task.inputUrl has %.0f minutes; the operator allows %.0f.", state.duration / 60, maxMinutes);
  else {
    ended = learn(&state);
    wav_close(&state.in);
    if (ended == 0) ended = wav_open(&state.in, path) ? -1 : listen(&state);
    if (ended) stoker_fail(job, STOKER_ENGINE_FAULT, "The recogniser failed: its log says why.");  // unless it was cancelled
  }
  free(path);
  wav_close(&state.in);
  if (ended) ps_end_utt(decoder);  // does nothing when none is under way
  else {
    stoker_add(&job->output, "{\"text\":");
    stoker_add_string(&job->output, state.text.bytes);
    stoker_add(&job->output, ",\"language\":\"en\",\"duration\":%.3f,\"segments\":[%s]}", state.duration,
               state.segments.length ? state.segments.bytes : "");
    stoker_add(&job->usage, "{\"audioSeconds\":%.3f}", state.duration);
  }
  free(state.text.bytes);
  free(state.segments.bytes);
  return ended;
}

int main(void) {
  return stoker_serve(&(stoker_engine){.name = "pocketsphinx-c", .version = "1.0.0", .initialize = initialize, .run = run});
}
