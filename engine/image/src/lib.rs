//! homeostat-image
