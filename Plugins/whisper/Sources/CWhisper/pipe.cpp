#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "CWhisper.h"

int32_t swhisper_pipe(int32_t ends[2]) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno; }
