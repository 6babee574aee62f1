//! homeostat-files
