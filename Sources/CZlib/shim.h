// zlib (Debian package zlib1g-dev): inflates the gzip archives behind Sources/Host/Install.
#include <zlib.h>
