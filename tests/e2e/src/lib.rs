//! homeostat-e2e
