//! homeostat-sim
