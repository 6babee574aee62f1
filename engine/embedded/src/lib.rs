//! homeostat-embedded
