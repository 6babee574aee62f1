//! homeostat-conformance
