//! Policy for an API gateway: tower layers and filters.
