// libcurl, loaded when it is first used.
//
// libcurl brings two dozen libraries with it: TLS, Kerberos, LDAP, SSH. A worker that downloads nothing should not carry their
// pages. So this program is not linked with it: the functions below have libcurl's names and types, and pass each call on.
// Its handle became const between versions of the header.
#define curl_url_get curl_url_get_of_the_header
#include <curl/curl.h>
#undef curl_url_get

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>

static void *library;

static void load(void) { library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL); }

// The library's function of that name, or NULL when the library is not there.
static void *find(const char *name) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return library == NULL ? NULL : dlsym(library, name);
}

// Defines `name`, which returns `otherwise` when the library is not there.
#define FORWARD(type, otherwise, name, parameters, arguments)             \
  type name parameters {                                                  \
    static type(*function) parameters;                                    \
    if (function == NULL) *(void **)&function = find(#name);              \
    return function == NULL ? (otherwise) : function arguments;           \
  }
#define FORWARD_VOID(name, parameters, arguments)                         \
  void name parameters {                                                  \
    static void (*function) parameters;                                   \
    if (function == NULL) *(void **)&function = find(#name);              \
    if (function != NULL) function arguments;                             \
  }

// The header's type-checking macro of the same name.
#undef curl_easy_setopt

FORWARD(CURLcode, CURLE_FAILED_INIT, curl_global_init, (long flags), (flags))
FORWARD(CURL *, NULL, curl_easy_init, (void), ())
FORWARD_VOID(curl_easy_cleanup, (CURL * handle), (handle))
FORWARD(const char *, "libcurl.so.4 is missing: install libcurl4", curl_easy_strerror, (CURLcode code), (code))
FORWARD_VOID(curl_free, (void *pointer), (pointer))
FORWARD(CURLM *, NULL, curl_multi_init, (void), ())
FORWARD(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_cleanup, (CURLM * multi), (multi))
FORWARD(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_add_handle, (CURLM * multi, CURL *handle), (multi, handle))
FORWARD(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_remove_handle, (CURLM * multi, CURL *handle), (multi, handle))
FORWARD(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_perform, (CURLM * multi, int *running), (multi, running))
FORWARD(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_poll,
        (CURLM * multi, struct curl_waitfd extra[], unsigned count, int timeout, int *ready),
        (multi, extra, count, timeout, ready))
FORWARD(CURLMsg *, NULL, curl_multi_info_read, (CURLM * multi, int *left), (multi, left))
FORWARD(const char *, "libcurl.so.4 is missing: install libcurl4", curl_multi_strerror, (CURLMcode code), (code))
FORWARD(struct curl_slist *, NULL, curl_slist_append, (struct curl_slist * list, const char *text), (list, text))
FORWARD_VOID(curl_slist_free_all, (struct curl_slist * list), (list))
FORWARD(CURLU *, NULL, curl_url, (void), ())
FORWARD_VOID(curl_url_cleanup, (CURLU * url), (url))
FORWARD(CURLUcode, CURLUE_OUT_OF_MEMORY, curl_url_get, (const CURLU *url, CURLUPart part, char **text, unsigned flags),
        (url, part, text, flags))
FORWARD(CURLUcode, CURLUE_OUT_OF_MEMORY, curl_url_set, (CURLU * url, CURLUPart part, const char *text, unsigned flags),
        (url, part, text, flags))

// Every option's value is a long, a pointer or a 64-bit offset: on the 64-bit systems that this runs on, one machine word.
CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...) {
  static CURLcode (*function)(CURL *, CURLoption, ...);
  if (function == NULL) *(void **)&function = find("curl_easy_setopt");
  if (function == NULL) return CURLE_FAILED_INIT;
  va_list values;
  va_start(values, option);
  void *value = va_arg(values, void *);
  va_end(values);
  return function(handle, option, value);
}
