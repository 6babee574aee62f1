//! The process that runs one container: `homeostat monitor`.

mod request;
mod state;

pub use request::*;
pub use state::*;
