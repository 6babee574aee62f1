//! homeostat-monitor
