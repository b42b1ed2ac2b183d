# SPDX-License-Identifier: MIT
"""The GPU as PyTorch shows it: buffers, the stream, graphs of launches timed by events."""
import gc


class Gpu:
    """Everything here runs on PyTorch's current stream, kgen's kernels too."""

    def __init__(self, torch):
        self.torch, self.device = torch, "cuda"
        torch.cuda.init()
        torch.backends.cuda.matmul.allow_tf32 = False  # f32 means f32, for everybody
        torch.backends.cudnn.allow_tf32 = False
        torch.empty(1, device=self.device)             # makes the primary context current
        self.properties = torch.cuda.get_device_properties(0)

    def cache_bytes(self):
        return getattr(self.properties, "L2_cache_size", 0) or 64 << 20

    def memory_for_sets(self):
        """Bytes that the rotating buffers of one contender may take."""
        return min(8 << 30, self.torch.cuda.mem_get_info()[0] // 8)

    def stream(self):
        return self.torch.cuda.current_stream().cuda_stream

    def synchronize(self):
        self.torch.cuda.synchronize()

    def release(self):
        gc.collect()
        self.torch.cuda.empty_cache()

    def seconds(self, work):
        """How long the stream takes for what work() puts on it."""
        begin = self.torch.cuda.Event(enable_timing=True)
        end = self.torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3

    def capture(self, work):
        """A graph of what work() launches: replaying it leaves the host out of the timings."""
        graph = self.torch.cuda.CUDAGraph()
        self.synchronize()
        with self.torch.cuda.graph(graph):
            work()
        self.synchronize()
        return graph.replay

    def copy_bytes_per_second(self, size=1 << 31):
        """The memory's ceiling: bytes read plus bytes written by a large copy, best of ten."""
        source = self.torch.empty(size, dtype=self.torch.uint8, device=self.device).fill_(1)
        target = self.torch.empty_like(source)
        best = min(self.seconds(lambda: target.copy_(source)) for _ in range(10))
        return 2 * size / best


def facts(torch):
    """What a reader has to know about the machine to compare figures; nothing that names it."""
    properties = torch.cuda.get_device_properties(0)
    return {"torch": torch.__version__, "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(), "gpu": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "l2_bytes": getattr(properties, "L2_cache_size", None),
            "memory_bytes": properties.total_memory}
