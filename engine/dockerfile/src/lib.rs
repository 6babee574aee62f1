//! homeostat-dockerfile
