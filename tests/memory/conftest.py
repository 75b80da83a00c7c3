"""One thread: the fake is so small that a second thread only waits, most of all where others work."""

import torch

torch.set_num_threads(1)
