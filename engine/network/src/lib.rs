//! Networks of containers: bridges, addresses, published ports. IPv4, synchronous, no threads of its own.
//!
//! - [`HostSocket`] speaks rtnetlink in the network namespace it was opened in; [`ensure_bridge`] and
//!   [`remove_bridge`] keep a bridge, [`attach`] connects the calling thread's namespace to one.
//! - [`Subnet`], [`choose_subnet`] and [`Allocator`] are plain data: who has which address.
//! - [`Table`] keeps one nftables table of our own as [`DesiredRules`] say and touches no other.
//! - [`reserve`] binds the host ports that are published, so that a port in use is found before a start.
//!
//! Nothing here is pinned on disk: a container's namespace, its veth pair and the reserved ports live as
//! long as the processes that hold them.

mod allocator;
mod attach;
mod bridge;
mod error;
mod interface;
mod link;
mod netlink;
mod port;
mod port_users;
mod reserve;
mod routes;
mod rules;
mod subnet;
mod sysctl;

pub use allocator::{AddressTaken, Allocator, NoFreeAddress};
pub use attach::{Attachment, attach, detach, loopback_up};
pub use bridge::{BridgeConfig, bridges, ensure_bridge, remove_bridge};
pub use error::NetworkError;
pub use interface::{InterfaceName, InterfaceNameError};
pub use netlink::HostSocket;
pub use port::HostPort;
pub use port_users::PortOwner;
pub use reserve::{ReserveError, Reserved, reserve};
pub use routes::occupied_subnets;
pub use rules::{Applied, BridgeRules, DesiredRules, RulesError, Table};
pub use subnet::{NoFreeSubnet, Subnet, SubnetError, choose_subnet};
