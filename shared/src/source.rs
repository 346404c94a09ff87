//! Where a request may come from: an allow list of networks.
//!
//! Smile sends from one static address (Smile, webhooks reference); the list is a parameter because
//! a vendor can move. The address comes from the gateway's own record of the connection, never from
//! a header, which anybody can write.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Networks in CIDR form, IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList(Vec<IpNet>);

/// An entry that is no network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a network: write an address or a CIDR block, such as 18.142.61.230/32, with commas between several"
)]
pub struct NotANetwork(String);

impl FromStr for AllowList {
    type Err = NotANetwork;

    /// Reads networks with commas between them. A single address is a network of one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .map(|entry| {
                entry
                    .parse::<IpNet>()
                    .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| NotANetwork(entry.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl AllowList {
    /// Whether `address` lies in one of the networks. An IPv4 address in IPv6 clothes
    /// (`::ffff:18.142.61.230`) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_both_families() {
        let list: AllowList = "18.142.61.230/32, 10.0.0.0/8,2001:db8::/32,::1".parse().unwrap();
        for inside in ["18.142.61.230", "::ffff:18.142.61.230", "10.255.0.1", "2001:db8:1::9", "::1"] {
            assert!(list.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["18.142.61.231", "11.0.0.1", "2001:db9::1", "::2", "0.0.0.0", "::"] {
            assert!(!list.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn refuses_what_is_no_network() {
        for bad in ["", "18.142.61.230/33", "smile", "10.0.0.0/8,,", "0x7f.1", "10.0.0.0/8;::1"] {
            let error = bad.parse::<AllowList>().unwrap_err();
            assert!(error.to_string().contains("is not a network"), "{error}");
        }
    }
}
