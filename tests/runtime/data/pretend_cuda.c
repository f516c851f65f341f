/* A driver without a GPU, for tests: the functions that edgefuse/runtime/device_memory.py and pycuda call, with the
 * types of NVIDIA's own header, on host memory.
 *
 * What matters is modelled as the driver does it: work waits in its stream until the stream is synchronised, capturing
 * puts it into a graph in place of the stream, and a launch repeats what was captured on the same addresses.
 * One device, one context, one thread.
 */
#include <cuda.h>
#include <stdlib.h>
#include <string.h>

enum kind { COPY, AVERAGE, CALL };
struct work { enum kind kind; void *out; const void *in[2]; size_t size; void (*call)(void *); };
struct list { struct work *items; size_t count; };
struct CUstream_st { struct list queue; struct list *capture; };
struct CUgraph_st { struct list list; };
struct CUgraphExec_st { struct list list; };

static int depth, devices = 1, refusing, counts[4];
enum { DEVICE_ALLOCATIONS, HOST_ALLOCATIONS, LIVE_ALLOCATIONS, LAUNCHES };

/* For tests alone. */
int pretend_count(int which) { return counts[which]; }
int pretend_depth(void) { return depth; }
void pretend_devices(int number) { devices = number; }
void pretend_refuse_capture(int refuse) { refusing = refuse; }

static void append(struct list *list, struct work work) {
    list->items = realloc(list->items, (list->count + 1) * sizeof work);
    list->items[list->count++] = work;
}

static CUresult enqueue(CUstream stream, struct work work) {
    if (!depth || !stream) return CUDA_ERROR_INVALID_CONTEXT;
    append(stream->capture ? stream->capture : &stream->queue, work);
    return CUDA_SUCCESS;
}

/* The one kernel of its own: half the sum of two fp32 images. */
CUresult pretend_average(CUstream stream, CUdeviceptr a, CUdeviceptr b, CUdeviceptr out, size_t count) {
    struct work work = {AVERAGE, (void *)out, {(void *)a, (void *)b}, count, 0};
    return enqueue(stream, work);
}

/* Kernels of a library that was compiled for the host: edgefuse_host_queue takes this function. */
int pretend_call(void *stream, void (*call)(void *), void *argument) {
    struct work work = {CALL, argument, {0, 0}, 0, call};
    return enqueue(stream, work);
}

static void run(const struct work *work) {
    if (work->kind == COPY) {
        memcpy(work->out, work->in[0], work->size);
    } else if (work->kind == CALL) {
        work->call(work->out);
    } else {
        const float *a = work->in[0], *b = work->in[1];
        for (size_t i = 0; i < work->size; i++) ((float *)work->out)[i] = 0.5f * (a[i] + b[i]);
    }
}

CUresult cuInit(unsigned int flags) { return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int *version) { *version = 13000; return CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int *count) { *count = devices; return CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) { *device = ordinal; return CUDA_SUCCESS; }
CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    (void)device;
    strncpy(name, "Pretend GPU", length);
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    (void)device;
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 8
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? 6 : 0;
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char **text) {
    *text = error == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED ? "operation not permitted when stream is capturing" : "refused";
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    (void)device;
    *context = (CUcontext)&depth;
    return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice device) { (void)device; return CUDA_SUCCESS; }
CUresult cuCtxPushCurrent(CUcontext context) { (void)context; depth++; return CUDA_SUCCESS; }
CUresult cuCtxPopCurrent(CUcontext *context) {
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    depth--;
    *context = (CUcontext)&depth;
    return CUDA_SUCCESS;
}

static CUresult allocate(void **memory, size_t size, int which) {
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    if (!(*memory = malloc(size))) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(*memory, 0xff, size); /* NaN: what was never written shows */
    counts[which]++;
    counts[LIVE_ALLOCATIONS]++;
    return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr *memory, size_t size) { return allocate((void **)memory, size, DEVICE_ALLOCATIONS); }
CUresult cuMemHostAlloc(void **memory, size_t size, unsigned int flags) {
    (void)flags;
    return allocate(memory, size, HOST_ALLOCATIONS);
}
CUresult cuMemFree(CUdeviceptr memory) { free((void *)memory); counts[LIVE_ALLOCATIONS]--; return CUDA_SUCCESS; }
CUresult cuMemFreeHost(void *memory) { free(memory); counts[LIVE_ALLOCATIONS]--; return CUDA_SUCCESS; }
CUresult cuMemcpyHtoDAsync(CUdeviceptr out, const void *in, size_t size, CUstream stream) {
    struct work work = {COPY, (void *)out, {in, 0}, size, 0};
    return enqueue(stream, work);
}
CUresult cuMemcpyDtoHAsync(void *out, CUdeviceptr in, size_t size, CUstream stream) {
    struct work work = {COPY, out, {(void *)in, 0}, size, 0};
    return enqueue(stream, work);
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
    *stream = calloc(1, sizeof **stream);
    return flags == CU_STREAM_NON_BLOCKING ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuStreamDestroy(CUstream stream) { free(stream->queue.items); free(stream); return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream stream) {
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    for (size_t i = 0; i < stream->queue.count; i++) run(&stream->queue.items[i]);
    stream->queue.count = 0;
    return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    if (stream->capture || mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) return CUDA_ERROR_INVALID_VALUE;
    stream->capture = calloc(1, sizeof *stream->capture);
    return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    if (!stream->capture) return CUDA_ERROR_INVALID_VALUE;
    CUgraph made = calloc(1, sizeof *made);
    made->list = *stream->capture;
    free(stream->capture);
    stream->capture = 0;
    if (refusing) {
        free(made->list.items);
        free(made);
        *graph = 0;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    *graph = made;
    return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
    if (!graph || flags) return CUDA_ERROR_INVALID_VALUE;
    *executable = calloc(1, sizeof **executable);
    for (size_t i = 0; i < graph->list.count; i++) append(&(*executable)->list, graph->list.items[i]);
    counts[LIVE_ALLOCATIONS] += 2; /* the graph and its executable */
    return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    counts[LAUNCHES]++;
    for (size_t i = 0; i < executable->list.count; i++) append(&stream->queue, executable->list.items[i]);
    return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
    free(executable->list.items);
    free(executable);
    counts[LIVE_ALLOCATIONS]--;
    return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
    free(graph->list.items);
    free(graph);
    counts[LIVE_ALLOCATIONS]--;
    return CUDA_SUCCESS;
}
