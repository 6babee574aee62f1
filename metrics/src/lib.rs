//! homeostat-metrics
