//! Which network addresses may be reached, and the words that tell an operator how to allow another.
//!
//! An address is judged after resolution, so a public name that points at a private machine is refused as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// The networks that the operator's configuration opens beyond the public internet.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    networks: Vec<IpNet>,
    ports: Vec<u16>,
}

/// The port of https, which needs no list.
const HTTPS_PORT: u16 = 443;

impl AllowList {
    /// An allow-list of exactly these networks, and of these ports of public addresses beside that of https.
    pub fn new(networks: Vec<IpNet>, ports: Vec<u16>) -> Self {
        Self { networks, ports }
    }

    fn lists_port(&self, port: u16) -> bool {
        port == HTTPS_PORT || self.ports.contains(&port)
    }

    /// Whether a URL may be asked at all, as far as its text tells: names are judged once more when they are resolved.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    pub fn admits(&self, url: &Url) -> Result<(), Refusal> {
        judge_url(url, self).map(drop)
    }

    /// Whether the operator listed a network with this address in it.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Which addresses a connection may use: plain HTTP, and ports that are not listed, only inside listed networks; TLS
/// anywhere public as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Public,
    ListedOnly,
}

/// Why an address was refused, worded for the operator who has to mend it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The scheme is neither https nor http.
    #[error("the address must begin with https:// (found {scheme}://)")]
    Scheme {
        /// The scheme that was found.
        scheme: String,
    },
    /// The address carries a user name or password.
    #[error("the address must not carry a user name or password")]
    Credentials,
    /// The address has no host.
    #[error("the address has no host")]
    NoHost,
    /// Plain HTTP, or a port that is not listed, at an address that no listed network holds.
    #[error(
        "{host} ({address}) is refused: plain http, and ports other than 443 and those of TOLLGATE_OUTBOUND_ALLOWED_PORTS, reach listed networks only; use https at port 443, or allow it with the configuration line TOLLGATE_OUTBOUND_ALLOWED_CIDRS={line}"
    )]
    Plain {
        /// The host as written.
        host: String,
        /// The address it stands for.
        address: IpAddr,
        /// The network to add to the configuration.
        line: IpNet,
    },
    /// The host stands for an address that is not on the public internet.
    #[error(
        "{host} is at {address}, which is not a public address; to allow it add the configuration line TOLLGATE_OUTBOUND_ALLOWED_CIDRS={line}"
    )]
    NotPublic {
        /// The host as written.
        host: String,
        /// The address it stands for.
        address: IpAddr,
        /// The network to add to the configuration.
        line: IpNet,
    },
}

/// Judges one address; the refusal names the line that would allow it.
pub(crate) fn judge(
    host: &str,
    address: IpAddr,
    reach: Reach,
    allowed: &AllowList,
) -> Result<(), Refusal> {
    if allowed.lists(address) || (reach == Reach::Public && is_public(address)) {
        return Ok(());
    }

    let host = host.to_owned();
    let line = single(address);
    Err(match reach {
        Reach::ListedOnly => Refusal::Plain {
            host,
            address,
            line,
        },
        Reach::Public => Refusal::NotPublic {
            host,
            address,
            line,
        },
    })
}

/// Judges what can be judged before resolution: scheme, credentials, and an address written literally.
pub(crate) fn judge_url(url: &Url, allowed: &AllowList) -> Result<Reach, Refusal> {
    let reach = match url.scheme() {
        "https" if allowed.lists_port(url.port_or_known_default().unwrap_or_default()) => {
            Reach::Public
        }
        "https" | "http" => Reach::ListedOnly,
        other => {
            return Err(Refusal::Scheme {
                scheme: other.to_owned(),
            });
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::Credentials);
    }

    match url.host().ok_or(Refusal::NoHost)? {
        Host::Ipv4(address) => judge(&address.to_string(), address.into(), reach, allowed)?,
        Host::Ipv6(address) => judge(&address.to_string(), address.into(), reach, allowed)?,
        Host::Domain(_) => {}
    }
    Ok(reach)
}

/// Judges an egress proxy that somebody typed, as far as its text tells. A name is judged when it is resolved.
pub(crate) fn judge_proxy(proxy: &Url, allowed: &AllowList) -> Result<(), Refusal> {
    if !matches!(proxy.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return Err(Refusal::Scheme {
            scheme: proxy.scheme().to_owned(),
        });
    }
    if !proxy.username().is_empty() || proxy.password().is_some() {
        return Err(Refusal::Credentials);
    }
    let host = proxy.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => judge(host, address, Reach::Public, allowed),
        Err(_) if host.is_empty() => Err(Refusal::NoHost),
        Err(_) => Ok(()),
    }
}

/// Whether an address is globally routable unicast (IANA special-purpose registries, RFC 6890 and its heirs).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Only `2000::/3` is handed out; mapped, NAT64, ULA, link-local and multicast all lie outside of it.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let protocol_assignments = a == 0x2001 && b < 0x0200;
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    let six_to_four = a == 0x2002;
    global_unicast && !protocol_assignments && !documentation && !six_to_four
}

/// The network that holds this address alone.
fn single(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(v4) => IpNet::V4(Ipv4Net::from(v4)),
        IpAddr::V6(v6) => IpNet::V6(Ipv6Net::from(v6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reachable_unlisted() {
        let table = [
            ("1.1.1.1", true),
            ("8.8.8.8", true),
            ("172.15.0.1", true),
            ("172.32.0.1", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("192.0.1.1", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("198.19.255.255", false),
            ("198.51.100.7", false),
            ("203.0.113.7", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1111", true),
            ("2a00:1450:4001::1", true),
            ("::", false),
            ("::1", false),
            ("::ffff:8.8.8.8", false),
            ("::ffff:127.0.0.1", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b:1::1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("3fff:0fff::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ];

        for (text, expected) in table {
            let address: IpAddr = text.parse().expect("the table holds addresses");
            assert_eq!(is_public(address), expected, "{text}");
        }
    }

    #[test]
    fn literal_addresses_are_judged_before_any_connection() {
        let allowed = AllowList::new(vec!["10.0.0.0/8".parse().expect("a network")], vec![8443]);
        let table = [
            ("https://api.example.com/v1", Ok(Reach::Public)),
            ("http://models.example.com/v1", Ok(Reach::ListedOnly)),
            ("https://api.example.com:8443/v1", Ok(Reach::Public)),
            ("https://api.example.com:22/v1", Ok(Reach::ListedOnly)),
            ("https://10.1.1.1:9000/v1", Ok(Reach::ListedOnly)),
            ("https://1.1.1.1:9000/v1", Err("1.1.1.1/32")),
            ("https://10.1.1.1/v1", Ok(Reach::Public)),
            ("http://10.1.1.1:8080/v1", Ok(Reach::ListedOnly)),
            ("https://127.0.0.1/", Err("127.0.0.1/32")),
            ("https://2130706433/", Err("127.0.0.1/32")),
            ("https://0x7f.1/", Err("127.0.0.1/32")),
            ("http://1.1.1.1/", Err("1.1.1.1/32")),
            ("https://[::1]/", Err("::1/128")),
            ("https://[::ffff:10.1.1.1]/", Err("::ffff:10.1.1.1/128")),
            ("ftp://example.com/", Err("ftp://")),
            ("file:///etc/passwd", Err("file://")),
            ("https://user@example.com/", Err("user name")),
            ("https://:secret@example.com/", Err("password")),
        ];

        for (text, expected) in table {
            let url = Url::parse(text).expect("the table holds addresses");
            let found = judge_url(&url, &allowed).map_err(|refusal| refusal.to_string());
            match expected {
                Ok(reach) => assert_eq!(found, Ok(reach), "{text}"),
                Err(part) => assert!(found.is_err_and(|text| text.contains(part)), "{text}"),
            }
        }
    }

    #[test]
    fn a_proxy_is_judged_like_any_other_address() {
        let allowed = AllowList::new(vec!["10.0.0.0/8".parse().expect("a network")], Vec::new());
        let table = [
            ("http://10.1.1.1:3128", true),
            ("socks5://10.1.1.1:1080", true),
            ("socks5h://proxy.example:1080", true),
            ("http://127.0.0.1:3128", false),
            ("socks5h://127.0.0.1:1080", false),
            ("http://[::1]:3128", false),
            ("http://169.254.169.254/", false),
            ("http://user:word@10.1.1.1:3128", false),
            ("ftp://10.1.1.1", false),
            ("socks4://10.1.1.1:1080", false),
        ];

        for (text, passes) in table {
            let url = Url::parse(text).expect("the table holds addresses");
            assert_eq!(judge_proxy(&url, &allowed).is_ok(), passes, "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_line_to_add() {
        let refused = judge(
            "ollama.lan",
            IpAddr::from([192, 168, 1, 20]),
            Reach::Public,
            &AllowList::default(),
        );

        assert_eq!(
            refused.expect_err("a private address").to_string(),
            "ollama.lan is at 192.168.1.20, which is not a public address; to allow it add the configuration line TOLLGATE_OUTBOUND_ALLOWED_CIDRS=192.168.1.20/32"
        );
    }
}
