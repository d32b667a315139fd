# Sourced: where the demo and the tests keep a worker's home with its models.

# Prints the directory: .demo in the tree, or one in the user's cache where the tree's path is too long for a socket
# (107 bytes, unix(7)).
demo_home() {
  local home
  home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.demo
  if ((${#home} > 80)); then home=${XDG_CACHE_HOME:-$HOME/.cache}/stoker-demo; fi
  printf '%s\n' "$home"
}
