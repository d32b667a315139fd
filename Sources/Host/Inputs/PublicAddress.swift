import CCurlShim
import Glibc

/// Which addresses belong to the public internet. Everything that is not known to be public counts as private, by the
/// special-purpose registries of IANA (RFC 6890 and its updates).
enum PublicAddress {
  /// Whether a socket address about to be connected to is public.
  static func isPublic(_ address: UnsafePointer<sockaddr>, length: Int) -> Bool {
    let raw = UnsafeRawPointer(address)
    switch Int32(address.pointee.sa_family) {
    case AF_INET where length >= MemoryLayout<sockaddr_in>.size:
      return isPublic(v4: UInt32(bigEndian: raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
    case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
      var six = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
      return withUnsafeBytes(of: &six) { isPublic(v6: Array($0)) }
    default: return false
    }
  }

  /// - Parameter v4: in host order.
  static func isPublic(v4 address: UInt32) -> Bool {
    !special.contains { address >> (32 - $0.bits) == $0.prefix >> (32 - $0.bits) }
  }

  /// - Parameter v6: the sixteen bytes.
  static func isPublic(v6 bytes: [UInt8]) -> Bool {
    guard bytes.count == 16 else { return false }
    let last = bytes[12...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    // ::ffff:0:0/96 is IPv4 in IPv6's clothes; 64:ff9b::/96 is translated to IPv4 on the way (RFC 6052).
    if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF { return isPublic(v4: last) }
    if bytes[..<12].elementsEqual([0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) { return isPublic(v4: last) }
    // 2002::/16, 6to4, carries an IPv4 address behind its prefix (RFC 3056).
    if bytes[0] == 0x20, bytes[1] == 0x02 {
      return isPublic(v4: bytes[2..<6].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }
    // Global unicast is 2000::/3; in it 2001::/23 (Teredo, benchmarking, …), documentation 2001:db8::/32 and 3fff::/20.
    guard bytes[0] & 0xE0 == 0x20 else { return false }
    if bytes[0] == 0x20, bytes[1] == 0x01, bytes[2] & 0xFE == 0 { return false }
    if bytes[..<4].elementsEqual([0x20, 0x01, 0x0D, 0xB8]) { return false }
    return !(bytes[0] == 0x3F && bytes[1] == 0xFF && bytes[2] & 0xF0 == 0)
  }

  private static let special: [(prefix: UInt32, bits: UInt32)] = [
    (0x0000_0000, 8),  // 0.0.0.0/8, this network
    (0x0A00_0000, 8),  // 10.0.0.0/8, private
    (0x6440_0000, 10),  // 100.64.0.0/10, carrier-grade NAT
    (0x7F00_0000, 8),  // 127.0.0.0/8, loopback
    (0xA9FE_0000, 16),  // 169.254.0.0/16, link-local, and where clouds keep their metadata
    (0xAC10_0000, 12),  // 172.16.0.0/12, private
    (0xC000_0000, 24),  // 192.0.0.0/24, protocol assignments
    (0xC000_0200, 24),  // 192.0.2.0/24, documentation
    (0xC058_6300, 24),  // 192.88.99.0/24, 6to4 relays
    (0xC0A8_0000, 16),  // 192.168.0.0/16, private
    (0xC612_0000, 15),  // 198.18.0.0/15, benchmarking
    (0xC633_6400, 24),  // 198.51.100.0/24, documentation
    (0xCB00_7100, 24),  // 203.0.113.0/24, documentation
    (0xE000_0000, 4),  // 224.0.0.0/4, multicast
    (0xF000_0000, 4),  // 240.0.0.0/4, reserved and broadcast
  ]
}
