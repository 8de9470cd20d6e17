//! PROXY protocol, versions 1 and 2: the real addresses of a connection behind a load balancer.
//!
//! [`parse`] is pure and incremental: it looks at the bytes received so far and either asks for
//! more or says how many of them were the header. It never consumes a byte behind the header, and
//! every prefix of a valid header is [`Parsed::NeedMore`]. Standard: "The PROXY protocol,
//! versions 1 & 2" (HAProxy, 2020/03/05), sections 2.1 and 2.2.
//!
//! The header says who the client is, so it may only be read from configured peers, under a
//! timer, and before TLS; all three are the listener's duty.
//!
//! ```
//! use gateway_core::server::proxy_protocol::{parse, Parsed};
//!
//! let input = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
//! let Parsed::Header { consumed, source, .. } = parse(input)? else { panic!("complete") };
//! assert_eq!(source, Some("192.0.2.1:56324".parse().unwrap()));
//! assert_eq!(&input[consumed..], b"GET / HTTP/1.1\r\n");
//! # Ok::<(), gateway_core::server::proxy_protocol::ProxyProtocolError>(())
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header of version 1 in bytes, line end included (section 2.1).
pub const V1_HEADER_LIMIT: usize = 107;

/// Longest header of version 2 in bytes that is accepted, the fixed 16 bytes included.
///
/// The format could announce 65,535 bytes. Addresses take at most 216; 4 KiB leave room for a
/// client certificate's names in the TLVs and bound what a peer can make us hold.
pub const V2_HEADER_LIMIT: usize = V2_FIXED_LENGTH + 4096;

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_LENGTH: usize = 16;
const INET_LENGTH: usize = 12;
const INET6_LENGTH: usize = 36;
const UNIX_LENGTH: usize = 216;
const TLV_HEAD_LENGTH: usize = 3;

/// What the bytes received so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The bytes are the beginning of a header; call again with more of them.
    NeedMore,
    /// The header is complete.
    Header {
        /// Length of the header in bytes; what follows belongs to the application protocol.
        consumed: usize,
        /// The client's address. `None` for `UNKNOWN`, `LOCAL` (a health check of the balancer
        /// itself), unspecified, unix and datagram sources: the connection's own address counts.
        source: Option<SocketAddr>,
        /// The address that the client connected to; `None` exactly when `source` is.
        destination: Option<SocketAddr>,
    },
}

/// Why the bytes are not a header. Each one ends the connection without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyProtocolError {
    /// The first bytes fit the signature of neither version.
    #[error("no PROXY protocol header")]
    Signature,
    /// Version 1: no line end within [`V1_HEADER_LIMIT`] bytes.
    #[error("PROXY line longer than {V1_HEADER_LIMIT} bytes")]
    LineTooLong,
    /// Version 1: the line does not end with CR LF, or is not
    /// `PROXY TCP4|TCP6 source destination port port` with single blanks.
    #[error("malformed PROXY line")]
    Line,
    /// Version 2: the version in the 13th byte is not 2.
    #[error("unknown PROXY protocol version {0}")]
    Version(u8),
    /// Version 2: the command in the 13th byte is neither `LOCAL` nor `PROXY`.
    #[error("unknown PROXY command {0}")]
    Command(u8),
    /// Version 2: the 14th byte is not a combination of family and transport the standard names.
    #[error("unknown PROXY address family and transport {0:#04x}")]
    Family(u8),
    /// Version 2: the announced length exceeds [`V2_HEADER_LIMIT`].
    #[error("PROXY header of {0} bytes is longer than {V2_HEADER_LIMIT}")]
    TooLong(usize),
    /// Version 2: the announced length has no room for the addresses of its family.
    #[error("PROXY header too short for its addresses")]
    Addresses,
    /// Version 2: a TLV runs past the end of the header.
    #[error("PROXY TLV runs past the end of the header")]
    Tlv,
}

/// Reads a header of either version from the start of `input`.
///
/// # Errors
///
/// [`ProxyProtocolError`] as soon as no continuation of `input` can be a valid header, except
/// that the line of version 1 is judged when it is complete.
pub fn parse(input: &[u8]) -> Result<Parsed, ProxyProtocolError> {
    if agrees(input, V1_PREFIX) {
        parse_v1(input)
    } else if agrees(input, V2_SIGNATURE) {
        parse_v2(input)
    } else {
        Err(ProxyProtocolError::Signature)
    }
}

/// Whether `input` starts with `expected`, as far as there is input.
fn agrees(input: &[u8], expected: &[u8]) -> bool {
    input.iter().zip(expected).all(|(left, right)| left == right)
}

fn parse_v1(input: &[u8]) -> Result<Parsed, ProxyProtocolError> {
    let window = input.get(..V1_HEADER_LIMIT).unwrap_or(input);
    let Some(end) = memchr::memchr2(b'\r', b'\n', window) else {
        return if window.len() < V1_HEADER_LIMIT {
            Ok(Parsed::NeedMore)
        } else {
            Err(ProxyProtocolError::LineTooLong)
        };
    };
    let (line, rest) = window.split_at(end);
    match rest {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if window.len() < V1_HEADER_LIMIT => return Ok(Parsed::NeedMore),
        [b'\r'] => return Err(ProxyProtocolError::LineTooLong),
        _ => return Err(ProxyProtocolError::Line),
    }
    let addresses = v1_addresses(line).ok_or(ProxyProtocolError::Line)?;
    Ok(header(end + 2, addresses))
}

type Addresses = Option<(SocketAddr, SocketAddr)>;

fn header(consumed: usize, addresses: Addresses) -> Parsed {
    Parsed::Header {
        consumed,
        source: addresses.map(|(source, _)| source),
        destination: addresses.map(|(_, destination)| destination),
    }
}

fn v1_addresses(line: &[u8]) -> Option<Addresses> {
    let line = line.strip_prefix(V1_PREFIX)?;
    // Behind UNKNOWN anything may stand, in any encoding (section 2.1).
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Some(None);
    }
    let mut fields = std::str::from_utf8(line).ok()?.split(' ');
    let family = fields.next()?;
    let (source, destination) = (fields.next()?, fields.next()?);
    let (source_port, destination_port) = (port(fields.next()?)?, port(fields.next()?)?);
    if fields.next().is_some() {
        return None;
    }
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    Some(Some((
        SocketAddr::new(ip(source)?, source_port),
        SocketAddr::new(ip(destination)?, destination_port),
    )))
}

/// A decimal port without sign or leading zero.
fn port(text: &str) -> Option<u16> {
    let canonical = text == "0" || text.bytes().next().is_some_and(|first| first != b'0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

fn parse_v2(input: &[u8]) -> Result<Parsed, ProxyProtocolError> {
    let local = match input.get(12) {
        None => return Ok(Parsed::NeedMore),
        Some(byte) if byte >> 4 != 2 => return Err(ProxyProtocolError::Version(byte >> 4)),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(byte) => return Err(ProxyProtocolError::Command(byte & 0x0f)),
    };
    let Some(&family) = input.get(13) else {
        return Ok(Parsed::NeedMore);
    };
    let address_length = match family {
        // The addresses of LOCAL are to be discarded, its family included.
        _ if local => 0,
        0x00 => 0,
        0x11 | 0x12 => INET_LENGTH,
        0x21 | 0x22 => INET6_LENGTH,
        0x31 | 0x32 => UNIX_LENGTH,
        _ => return Err(ProxyProtocolError::Family(family)),
    };
    let Some(&[high, low]) = input.get(14..V2_FIXED_LENGTH) else {
        return Ok(Parsed::NeedMore);
    };
    let consumed = V2_FIXED_LENGTH + usize::from(u16::from_be_bytes([high, low]));
    if consumed > V2_HEADER_LIMIT {
        return Err(ProxyProtocolError::TooLong(consumed));
    }
    if consumed < V2_FIXED_LENGTH + address_length {
        return Err(ProxyProtocolError::Addresses);
    }
    let Some(payload) = input.get(V2_FIXED_LENGTH..consumed) else {
        return Ok(Parsed::NeedMore);
    };
    if local || family == 0x00 {
        // Opaque by the standard: skipped by its length, TLVs included.
        return Ok(header(consumed, None));
    }
    let (addresses, tlvs) = payload.split_at(address_length);
    check_tlvs(tlvs)?;
    Ok(header(consumed, v2_addresses(family, addresses)))
}

/// The stream addresses; `None` for the families and transports that are treated as unspecified.
fn v2_addresses(family: u8, bytes: &[u8]) -> Addresses {
    match family {
        0x11 => {
            let (source, rest) = bytes.split_first_chunk::<4>()?;
            let (destination, ports) = rest.split_first_chunk::<4>()?;
            pair(Ipv4Addr::from(*source), Ipv4Addr::from(*destination), ports)
        }
        0x21 => {
            let (source, rest) = bytes.split_first_chunk::<16>()?;
            let (destination, ports) = rest.split_first_chunk::<16>()?;
            pair(Ipv6Addr::from(*source), Ipv6Addr::from(*destination), ports)
        }
        _ => None,
    }
}

fn pair(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, ports: &[u8]) -> Addresses {
    let &[source_high, source_low, destination_high, destination_low] = ports else {
        return None;
    };
    let source_port = u16::from_be_bytes([source_high, source_low]);
    let destination_port = u16::from_be_bytes([destination_high, destination_low]);
    Some((
        SocketAddr::new(source.into(), source_port),
        SocketAddr::new(destination.into(), destination_port),
    ))
}

/// Type, two bytes of length, value; nothing else up to the end (section 2.2).
fn check_tlvs(mut bytes: &[u8]) -> Result<(), ProxyProtocolError> {
    while !bytes.is_empty() {
        let &[_, high, low, ..] = bytes else {
            return Err(ProxyProtocolError::Tlv);
        };
        let length = TLV_HEAD_LENGTH + usize::from(u16::from_be_bytes([high, low]));
        bytes = bytes.get(length..).ok_or(ProxyProtocolError::Tlv)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

    fn known(consumed: usize, source: &str, destination: &str) -> Parsed {
        header(consumed, Some((source.parse().unwrap(), destination.parse().unwrap())))
    }

    #[test]
    fn version_1() {
        use ProxyProtocolError::{Line, LineTooLong, Signature};
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        let endless = "PROXY TCP4 ".repeat(10);
        let cases: &[(&str, Result<Parsed, ProxyProtocolError>)] = &[
            (
                "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET",
                Ok(known(45, "192.0.2.1:56324", "198.51.100.1:443")),
            ),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", {
                Ok(known(36, "[2001:db8::1]:1", "[::1]:65535"))
            }),
            ("PROXY UNKNOWN\r\n", Ok(header(15, None))),
            ("PROXY UNKNOWN ffff:: x y\r\n\r\n", Ok(header(26, None))),
            (&long, Ok(header(107, None))),
            (&too_long, Err(LineTooLong)),
            (&endless, Err(LineTooLong)),
            ("", Ok(Parsed::NeedMore)),
            ("PROX", Ok(Parsed::NeedMore)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r", Ok(Parsed::NeedMore)),
            ("GET / HTTP/1.1\r\n", Err(Signature)),
            ("proxy TCP4", Err(Signature)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n", Err(Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\rX", Err(Line)),
            ("PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n", Err(Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n", Err(Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", Err(Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", Err(Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n", Err(Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n", Err(Line)),
            ("PROXY TCP4 192.0.2.256 198.51.100.1 1 443\r\n", Err(Line)),
            ("PROXY TCP4 192.0.02.1 198.51.100.1 1 443\r\n", Err(Line)),
            ("PROXY TCP4 ::1 ::1 1 443\r\n", Err(Line)),
            ("PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n", Err(Line)),
            ("PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n", Err(Line)),
            ("PROXY UNKNOWNX\r\n", Err(Line)),
            ("PROXY \r\n", Err(Line)),
        ];
        for (input, expected) in cases {
            assert_eq!(parse(input.as_bytes()), *expected, "{input:?}");
        }
    }

    #[test]
    fn version_2() {
        let inet6: Vec<u8> = [[0; 15].as_slice(), &[1], &[0; 15], &[2], &[0, 7, 0, 8]].concat();
        let tlv = [INET.as_slice(), &[4, 0, 2, 1, 2]].concat();
        let inet = |length| known(length, "192.0.2.1:56324", "198.51.100.1:443");
        let cases = [
            ("inet", v2(0x21, 0x11, &INET), inet(28)),
            ("inet6", v2(0x21, 0x21, &inet6), known(52, "[::1]:7", "[::2]:8")),
            ("tlv", v2(0x21, 0x11, &tlv), inet(33)),
            ("local", v2(0x20, 0x00, &[]), header(16, None)),
            ("local, addresses", v2(0x20, 0x11, &INET), header(28, None)),
            ("local, any family", v2(0x20, 0xff, &[9]), header(17, None)),
            ("unspecified", v2(0x21, 0x00, &[1, 2, 3]), header(19, None)),
            ("unix", v2(0x21, 0x31, &[0; 216]), header(232, None)),
            ("datagram", v2(0x21, 0x12, &INET), header(28, None)),
            ("largest", v2(0x21, 0x00, &[0; 4096]), header(4112, None)),
        ];
        for (name, input, expected) in cases {
            assert_eq!(parse(&input), Ok(expected), "{name}");
        }
    }

    #[test]
    fn version_2_rejected() {
        use ProxyProtocolError::{Addresses, Command, Family, Tlv, TooLong, Version};
        let with = |tail: &[u8]| v2(0x21, 0x11, &[&INET, tail].concat());
        let cases = [
            ("too large", v2(0x21, 0x00, &[0; 4097]), TooLong(4113)),
            ("version 1", v2(0x11, 0x11, &INET), Version(1)),
            ("version 3", v2(0x31, 0x11, &INET), Version(3)),
            ("command", v2(0x22, 0x11, &INET), Command(2)),
            ("family", v2(0x21, 0x41, &INET), Family(0x41)),
            ("no transport", v2(0x21, 0x10, &INET), Family(0x10)),
            ("transport", v2(0x21, 0x13, &INET), Family(0x13)),
            ("short inet", v2(0x21, 0x11, &INET[..11]), Addresses),
            ("short inet6", v2(0x21, 0x21, &INET), Addresses),
            ("short unix", v2(0x21, 0x31, &[0; 215]), Addresses),
            ("tlv value cut", with(&[4, 0, 3, 1, 2]), Tlv),
            ("tlv head cut", with(&[4, 0]), Tlv),
            ("tlv huge", with(&[4, 0xff, 0xff, 1]), Tlv),
            ("second tlv", with(&[4, 0, 0, 4, 0, 1]), Tlv),
        ];
        for (name, input, expected) in cases {
            assert_eq!(parse(&input), Err(expected), "{name}");
        }
        let announced = v2(0x21, 0x00, &[0; 4097]);
        assert_eq!(parse(&announced[..16]), Err(TooLong(4113)));
    }

    fn valid() -> impl Strategy<Value = Vec<u8>> {
        let line = (any::<[u8; 4]>(), any::<[u8; 4]>(), any::<u16>(), any::<u16>()).prop_map(
            |(source, destination, from, to)| {
                let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
                format!("PROXY TCP4 {source} {destination} {from} {to}\r\n").into_bytes()
            },
        );
        let binary = (any::<[u8; 36]>(), proptest::collection::vec(any::<u8>(), 0..64)).prop_map(
            |(addresses, value)| {
                let mut payload = addresses.to_vec();
                payload.extend([0xea, 0, u8::try_from(value.len()).unwrap()]);
                payload.extend(value);
                v2(0x21, 0x21, &payload)
            },
        );
        prop_oneof![line, binary]
    }

    /// Bytes that get past the signatures often enough to reach the branches behind them.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let start = prop_oneof![
            Just(Vec::new()),
            Just(V1_PREFIX.to_vec()),
            Just(V2_SIGNATURE.to_vec()),
            Just([V2_SIGNATURE, &[0x21, 0x11, 0]].concat()),
            Just([V2_SIGNATURE, &[0x21, 0x21, 0]].concat()),
        ];
        (start, proptest::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(start, rest)| [start, rest].concat())
    }

    proptest! {
        #[test]
        fn a_valid_header_is_found_whatever_follows(
            header in valid(),
            tail in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let alone = parse(&header).unwrap();
            let Parsed::Header { consumed, .. } = alone else { panic!("incomplete") };
            prop_assert_eq!(consumed, header.len());
            prop_assert_eq!(parse(&[header.clone(), tail].concat()), Ok(alone));
            for end in 0..header.len() {
                prop_assert_eq!(parse(&header[..end]), Ok(Parsed::NeedMore));
            }
        }

        #[test]
        fn any_split_gives_the_same_result(input in hostile()) {
            let whole = parse(&input);
            for end in 0..input.len() {
                let part = parse(&input[..end]);
                prop_assert!(part == whole || part == Ok(Parsed::NeedMore), "{part:?} {whole:?}");
            }
            if let Ok(Parsed::Header { consumed, .. }) = whole {
                prop_assert!(consumed <= input.len());
                prop_assert!(consumed <= V2_HEADER_LIMIT);
            }
        }
    }
}
