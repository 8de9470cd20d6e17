//! The order in which a request passes what stands between client and target: three rings, each
//! one file that reads top-down as a request walks.

mod cluster;
mod edge;
mod route;

pub(crate) use self::cluster::cluster;
pub(crate) use self::edge::edge;
pub(crate) use self::route::{Asides, route};
