from tests.naive import NAIVE
def make(kind, capacity, *, seed=0, n_blocks=None, admission="all", admission_value=0, enters="front", region_ratio=0.0):
    order = NAIVE[kind](capacity)
    order.state = seed
    order.admission, order.value, order.enters, order.region = admission, admission_value, enters, int(region_ratio*capacity)
    return order
