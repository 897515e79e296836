"""Files in object stores: addresses, a store's few operations, and local copies of what is read from one."""
