// Text that grows, and strict JSON, for stoker_engine.h.
#ifndef STOKER_JSON_H
#define STOKER_JSON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define STOKER_USE static __attribute__((unused))
#define STOKER_FORMAT(at) __attribute__((format(printf, at, at + 1)))
enum { STOKER_DEPTH = 64, STOKER_VALUES = 200000 };

// Text that grows. `{0}` is an empty one; the owner frees `bytes`, which end with a NUL that `length` does not count.
typedef struct { char *bytes; size_t length, room; } stoker_buffer;

// A JSON value. `text` is what a string or a number says, `child` the first of an array or object, `next` what follows.
typedef struct stoker_json stoker_json;
struct stoker_json {
  enum { STOKER_NULL, STOKER_BOOL, STOKER_NUMBER, STOKER_STRING, STOKER_ARRAY, STOKER_OBJECT } type;
  char *key, *text;
  double number;  // of a number; 1 and 0 of true and false
  stoker_json *child, *next;
};

// MARK: Text

STOKER_USE void *stoker_room(void *old, size_t bytes) {
  void *made = realloc(old, bytes ? bytes : 1);
  if (!made) {
    fputs("out of memory\n", stderr);
    abort();  // the host starts the engine again and tries its jobs once more
  }
  return made;
}
STOKER_USE void stoker_append(stoker_buffer *to, const char *bytes, size_t count) {
  if (to->length + count + 1 > to->room) {
    to->room = (to->length + count + 1) * 2;
    to->bytes = stoker_room(to->bytes, to->room);
  }
  if (count) memcpy(to->bytes + to->length, bytes, count);
  to->length += count;
  to->bytes[to->length] = 0;
}
// Appends as printf does. Numbers have a point whatever the locale as long as nobody calls setlocale.
STOKER_USE STOKER_FORMAT(2) void stoker_add(stoker_buffer *to, const char *format, ...) {
  va_list list, again;
  va_start(list, format);
  va_copy(again, list);
  int count = vsnprintf(NULL, 0, format, list);
  va_end(list);
  char *text = stoker_room(NULL, (size_t)(count < 0 ? 0 : count) + 1);
  if (count >= 0 && vsnprintf(text, (size_t)count + 1, format, again) == count) stoker_append(to, text, (size_t)count);
  va_end(again);
  free(text);
}
// How many bytes the character has that text begins with; 0 when it is not UTF-8.
STOKER_USE int stoker_utf8(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  if (c[0] < 0x80) return 1;
  int more = c[0] >= 0xC2 && c[0] < 0xE0 ? 1 : (c[0] & 0xF0) == 0xE0 ? 2 : c[0] >= 0xF0 && c[0] < 0xF5 ? 3 : 0;
  for (int at = 1; at <= more; at++) if ((c[at] & 0xC0) != 0x80) return 0;
  if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F)) return 0;  // overlong; half a pair
  if ((c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F)) return 0;
  return more ? more + 1 : 0;
}
// Appends a text as a JSON string; bytes that are not UTF-8 become U+FFFD.
STOKER_USE void stoker_add_string(stoker_buffer *to, const char *text) {
  stoker_append(to, "\"", 1);
  for (const char *at = text ? text : ""; *at;) {
    int count = stoker_utf8(at);
    if (count == 0) stoker_add(to, "\\ufffd");
    else if ((unsigned char)*at < 0x20) stoker_add(to, "\\u%04x", (unsigned)*at);
    else if (*at == '"' || *at == '\\') stoker_add(to, "\\%c", *at);
    else stoker_append(to, at, (size_t)count);
    at += count ? count : 1;
  }
  stoker_append(to, "\"", 1);
}

// MARK: Reading JSON

typedef struct { const char *at; int depth, values; const char *problem; } stoker_reader;

STOKER_USE void stoker_free(stoker_json *value) {
  while (value) {
    stoker_json *next = value->next;
    stoker_free(value->child);
    free(value->key);
    free(value->text);
    free(value);
    value = next;
  }
}
STOKER_USE void stoker_space(stoker_reader *in) { in->at += strspn(in->at, " \t\r\n"); }
STOKER_USE long stoker_hex(const char *at) {
  long value = 0;
  for (int digit = 0; digit < 4; digit++) {
    const char *found = at[digit] ? strchr("0123456789abcdef0123456789ABCDEF", at[digit]) : NULL;
    if (!found) return -1;
    value = value * 16 + (found - "0123456789abcdef0123456789ABCDEF") % 16;
  }
  return value;
}
STOKER_USE void stoker_character(stoker_buffer *to, long code) {
  char bytes[4];
  int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  bytes[0] = (char)(more ? (0xF0 << (3 - more) & 0xFF) | code >> 6 * more : code);
  for (int at = 1; at <= more; at++) bytes[at] = (char)(0x80 | (code >> 6 * (more - at) & 0x3F));
  stoker_append(to, bytes, (size_t)more + 1);
}
STOKER_USE char *stoker_read_string(stoker_reader *in) {
  stoker_buffer text = {0};
  stoker_append(&text, "", 0);
  for (in->at++; *in->at != '"' && !in->problem;) {
    int count = stoker_utf8(in->at);
    if (count == 0 || (unsigned char)*in->at < 0x20) { in->problem = "a string is not plain UTF-8"; break; }
    if (*in->at != '\\') { stoker_append(&text, in->at, (size_t)count); in->at += count; continue; }
    const char *plain = in->at[1] ? strchr("\"\"\\\\//b\bf\fn\nr\rt\t", in->at[1]) : NULL;
    if (in->at[1] == 'u') {
      long code = stoker_hex(in->at + 2);
      in->at += 6;
      if (code >= 0xD800 && code < 0xDC00 && in->at[0] == '\\' && in->at[1] == 'u') {
        long low = stoker_hex(in->at + 2);
        code = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : -1;
        in->at += 6;
      }
      if (code < 0 || (code >= 0xD800 && code < 0xE000)) { in->problem = "a \\u escape is no character"; break; }
      stoker_character(&text, code == 0 ? 0xFFFD : code);  // text of C ends at a NUL
    } else if (plain) {
      stoker_append(&text, plain + 1, 1);
      in->at += 2;
    } else in->problem = "an unknown escape";
  }
  if (!in->problem) in->at++;
  return text.bytes;
}
STOKER_USE stoker_json *stoker_read(stoker_reader *in) {
  stoker_json *value = memset(stoker_room(NULL, sizeof *value), 0, sizeof *value);
  stoker_space(in);
  const char *words[] = {"null", "false", "true"};
  for (int word = 0; word < 3; word++) if (strncmp(in->at, words[word], strlen(words[word])) == 0) {
    value->type = word ? STOKER_BOOL : STOKER_NULL;
    value->number = word == 2;
    in->at += strlen(words[word]);
    return value;
  }
  if (++in->values > STOKER_VALUES) in->problem = "too many values";
  else if (*in->at == '"') {
    value->type = STOKER_STRING;
    value->text = stoker_read_string(in);
  } else if (*in->at == '{' || *in->at == '[') {
    char end = *in->at == '{' ? '}' : ']';
    value->type = end == '}' ? STOKER_OBJECT : STOKER_ARRAY;
    if (++in->depth > STOKER_DEPTH) { in->problem = "nested too deep"; return value; }
    in->at++;
    stoker_space(in);
    stoker_json **last = &value->child;
    for (int count = 0; *in->at != end && !in->problem; count++) {
      if (count && *in->at++ != ',') { in->problem = "a comma is missing"; break; }
      stoker_space(in);
      char *key = NULL;
      if (end == '}') {
        if (*in->at != '"') { in->problem = "a key is missing"; break; }
        key = stoker_read_string(in);
        stoker_space(in);
        if (!in->problem && *in->at++ != ':') in->problem = "a colon is missing";
      }
      *last = in->problem ? NULL : stoker_read(in);
      if (!*last) { free(key); break; }
      (*last)->key = key;
      // Twice the same key: looked for where it costs little, which is where it matters.
      if (key && count < 256) for (stoker_json *one = value->child; one != *last; one = one->next)
        if (strcmp(one->key, key) == 0) in->problem = "a key comes twice";
      last = &(*last)->next;
      stoker_space(in);
    }
    if (!in->problem) in->at++;
    in->depth--;
  } else {  // -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
    const char *at = in->at + (*in->at == '-'), *digits = at;
    at += *at == '0' ? 1 : (long)strspn(at, "0123456789");
    bool right = at > digits;
    if (*at == '.') { digits = ++at; at += strspn(at, "0123456789"); right &= at > digits; }
    if (*at == 'e' || *at == 'E') {
      at += at[1] == '+' || at[1] == '-' ? 2 : 1;
      digits = at;
      at += strspn(at, "0123456789");
      right &= at > digits;
    }
    if (!right || at - in->at > 64) { in->problem = "no JSON value"; return value; }
    value->type = STOKER_NUMBER;
    value->text = strndup(in->at, (size_t)(at - in->at));
    value->number = strtod(in->at, NULL);
    if (!isfinite(value->number)) in->problem = "a number is too great";
    in->at = at;
  }
  return value;
}
// A member of an object; NULL when it is absent or null.
STOKER_USE const stoker_json *stoker_get(const stoker_json *object, const char *name) {
  for (const stoker_json *one = object && object->type == STOKER_OBJECT ? object->child : NULL; one; one = one->next)
    if (strcmp(one->key, name) == 0) return one->type == STOKER_NULL ? NULL : one;
  return NULL;
}
// A member that is a string; NULL when it is not.
STOKER_USE const char *stoker_string(const stoker_json *object, const char *name) {
  const stoker_json *found = stoker_get(object, name);
  return found && found->type == STOKER_STRING ? found->text : NULL;
}
#endif
