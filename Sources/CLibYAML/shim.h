// libyaml (Debian package libyaml-dev): the event parser behind Sources/Host/YAML.
#include <yaml.h>
