//! Why the table could not be kept.

use std::io;

use homeostat_reconciler::ErrorKind;

/// The table could not be read or changed. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The program `nft` is not installed.
    #[error("the program `nft`, which publishes ports, is not installed")]
    Missing,
    /// The program `nft` could not be run.
    #[error("cannot run `nft`")]
    Run(#[source] io::Error),
    /// We may not change the rules.
    #[error("changing nftables rules is not permitted")]
    NotPermitted,
    /// The kernel has no nftables, or not the parts that address translation needs.
    #[error("the kernel lacks nftables or its address translation: {message}")]
    Unsupported {
        /// What `nft` said.
        message: String,
    },
    /// `nft` or the kernel refused for another reason.
    #[error("nft refused the rules: {message}")]
    Refused {
        /// What `nft` said.
        message: String,
    },
}

impl RulesError {
    /// Who can do something about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing | Self::NotPermitted | Self::Unsupported { .. } => ErrorKind::Config,
            Self::Run(_) | Self::Refused { .. } => ErrorKind::Transient,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("install the package nftables"),
            Self::NotPermitted => Some("run homeostat as root, or with CAP_NET_ADMIN"),
            Self::Unsupported { .. } => Some(
                "load the kernel modules nf_tables, nft_chain_nat, nft_masq and nft_fib_ipv4 with modprobe",
            ),
            Self::Run(_) | Self::Refused { .. } => None,
        }
    }
}
