//! homeostat-network
