//! homeostat-source
