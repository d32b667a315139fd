// Finds values in JSON text of one object. No more than a fixture needs: the host sends valid JSON.
#ifndef CHAOS_JSON_H
#define CHAOS_JSON_H

/// The value of `key` in the object that begins at `object`, or NULL.
const char *json_find(const char *object, const char *key);
/// The number at `value`, or `otherwise` when there is none.
long json_long(const char *value, long otherwise);
/// Copies the text at `value` without its quotes, with the escapes \" \\ \/ undone; `otherwise` when it is no text.
void json_text(const char *value, char *out, int size, const char *otherwise);

#endif
