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
}

impl AllowList {
    /// An allow-list of exactly these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// Whether the operator listed a network with this address in it.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Which addresses a connection may use: plain HTTP only inside listed networks, TLS anywhere public as well.
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
    /// Plain HTTP to an address that no listed network holds.
    #[error(
        "plain http to {host} ({address}) is refused; use https, or allow it with the configuration line TOLLGATE_OUTBOUND_ALLOWED_CIDRS={line}"
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
        "https" => Reach::Public,
        "http" => Reach::ListedOnly,
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
        let allowed = AllowList::new(vec!["10.0.0.0/8".parse().expect("a network")]);
        let table = [
            ("https://api.example.com/v1", Ok(Reach::Public)),
            ("http://models.example.com/v1", Ok(Reach::ListedOnly)),
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
