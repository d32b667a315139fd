#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *space(const char *at) {
  while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') at++;
  return at;
}

// The character after the text that begins at `at`.
static const char *skip_text(const char *at) {
  for (at++; *at && *at != '"'; at++) {
    if (*at == '\\' && at[1]) at++;
  }
  return *at ? at + 1 : at;
}

static const char *skip_value(const char *at) {
  at = space(at);
  if (*at == '"') return skip_text(at);
  if (*at != '{' && *at != '[') return at + strcspn(at, ",}]");
  int depth = 0;
  while (*at) {
    if (*at == '"') {
      at = skip_text(at);
      continue;
    }
    if (*at == '{' || *at == '[') depth++;
    if ((*at == '}' || *at == ']') && --depth == 0) return at + 1;
    at++;
  }
  return at;
}

const char *json_find(const char *object, const char *key) {
  if (object == NULL) return NULL;
  const char *at = space(object);
  if (*at++ != '{') return NULL;
  size_t length = strlen(key);
  for (;;) {
    at = space(at);
    if (*at == ',') at = space(at + 1);
    if (*at != '"') return NULL;
    const char *end = skip_text(at);
    int found = (size_t)(end - at) == length + 2 && memcmp(at + 1, key, length) == 0;
    at = space(end);
    if (*at == ':') at++;
    if (found) return space(at);
    at = skip_value(at);
  }
}

long json_long(const char *value, long otherwise) {
  if (value == NULL || ((*value < '0' || *value > '9') && *value != '-')) return otherwise;
  return strtol(value, NULL, 10);
}

void json_text(const char *value, char *out, int size, const char *otherwise) {
  if (value == NULL || *value != '"') {
    snprintf(out, (size_t)size, "%s", otherwise);
    return;
  }
  int length = 0;
  for (value++; *value && *value != '"' && length < size - 1; value++) {
    if (*value == '\\' && value[1]) value++;
    out[length++] = *value;
  }
  out[length] = 0;
}
