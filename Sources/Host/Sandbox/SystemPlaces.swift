/// The parts of a machine that any engine may read: programs, libraries, and what they look at to learn where they run.
/// No user's files, no service's data, no secrets of the administrator.
enum SystemPlaces {
  /// Programs and their data: what the Filesystem Hierarchy Standard calls shareable and static, and the stores of Nix
  /// and Guix.
  static let programs = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store",
    "/var/cache/fontconfig", "/run/opengl-driver",
  ]

  /// Settings of libraries. Everything else in /etc is left out, for instance keys and password hashes.
  static let settings = [
    "ImageMagick-6", "ImageMagick-7", "OpenCL", "alternatives", "crypto-policies", "debian_version", "drirc", "egl",
    "fonts", "gai.conf", "glvnd", "group", "host.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload",
    "locale.alias", "locale.conf", "localtime", "lsb-release", "magic", "mime.types", "nsswitch.conf", "nvidia",
    "os-release", "papersize", "passwd", "protocols", "services", "ssl/openssl.cnf", "timezone", "vulkan",
  ].map { "/etc/\($0)" }

  /// What the C library needs to find a host and check its certificate.
  static let networking = [
    "/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ca-certificates", "/etc/pki/tls",
    "/etc/pki/ca-trust", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf",
  ]

  /// The kernel's view of processes, processors and memory. Of other processes, Landlock hides the environment, memory
  /// and descriptors; their names and arguments stay visible, as to every user of a machine.
  static let kernel = [
    "/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage", "/sys/kernel/mm/hugepages",
  ]

  /// What drivers of graphics cards are found by.
  static let cards = ["/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/module"]

  /// Devices that hold nothing.
  static let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]

  /// The device nodes of cards of a kind.
  /// - Parameter names: the entries of /dev.
  static func nodes(of kind: DeviceKind, among names: [String]) -> [String] {
    let nvidia = names.filter { $0.hasPrefix("nvidia") || $0 == "dxg" }
    let found: [String] =
      switch kind {
      case .cuda: nvidia
      case .rocm: ["kfd", "dri"]
      case .vulkan: nvidia + ["dri"]
      case .metal, .cpu: []
      }
    return found.sorted().map { "/dev/\($0)" }
  }

  /// What belongs to the programs of a directory of PATH that is not one of ``programs``: `lib` and its like beside a
  /// `bin`, and for a version manager's `shims` all that the manager has installed.
  static func beside(_ directory: String) -> [String] {
    let parent = FilePath.parent(directory)
    switch FilePath.name(directory) {
    case "bin", "sbin":
      // Beside ~/.local/bin, `share` is where the user's programs keep the user's data.
      let more = FilePath.name(parent) == ".local" ? [] : ["share"]
      return [directory] + (["bin", "lib", "lib64", "libexec"] + more).map { FilePath.join(parent, $0) }
        + [FilePath.join(parent, "pyvenv.cfg")]
    case "shims": return [parent]
    default: return [directory]
    }
  }
}
