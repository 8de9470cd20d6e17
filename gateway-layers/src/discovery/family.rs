//! [`Family`]: which IP addresses are taken.

/// Which IP addresses are taken where a name or a service has both kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv4; IPv6 where there is no IPv4. The default: an endpoint with two addresses is still
    /// one endpoint.
    #[default]
    V4First,
    /// IPv6; IPv4 where there is no IPv6.
    V6First,
    /// Both, each address an endpoint of its own.
    Both,
}
