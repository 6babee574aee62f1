//! homeostat-build
