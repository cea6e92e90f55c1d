// The CUDA driver and NVRTC, opened at run time: declared here by hand, so that the package builds where neither is
// installed. Types and numbers are those of the driver's stable binary interface (cuda.h of CUDA 12 and 13).
#pragma once

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef int gw_result;  // CUresult: 0 is success
typedef int gw_device;  // CUdevice
typedef unsigned long long gw_address;  // CUdeviceptr
typedef struct gw_context *gw_context_t;  // CUcontext
typedef struct gw_module *gw_module_t;  // CUmodule
typedef struct gw_function *gw_function_t;  // CUfunction
typedef struct gw_stream *gw_stream_t;  // CUstream
typedef struct gw_event *gw_event_t;  // CUevent
typedef struct gw_graph *gw_graph_t;  // CUgraph
typedef struct gw_graph_exec *gw_graph_exec_t;  // CUgraphExec
typedef struct gw_graph_node *gw_graph_node_t;  // CUgraphNode

/// CUlaunchAttribute: a number, four bytes of padding, a union of 64 bytes.
typedef struct {
  int id;
  int padding;
  union {
    struct {
      unsigned x, y, z;
    } cluster;
    int flag;
    char bytes[64];
  } value;
} gw_launch_attribute;

/// CUlaunchConfig.
typedef struct {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  gw_stream_t _Nullable stream;
  gw_launch_attribute *_Nullable attributes;
  unsigned attribute_count;
} gw_launch_config;

/// Every driver entry point in use: result type, field and symbol, parameters.
#define GW_DRIVER_SYMBOLS(X)                                                                                       \
  X(init, "cuInit", (unsigned flags))                                                                              \
  X(driver_version, "cuDriverGetVersion", (int *version))                                                          \
  X(device_count, "cuDeviceGetCount", (int *count))                                                                \
  X(device_get, "cuDeviceGet", (gw_device * device, int number))                                                   \
  X(device_name, "cuDeviceGetName", (char *name, int capacity, gw_device device))                                  \
  X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, gw_device device))                       \
  X(device_memory, "cuDeviceTotalMem_v2", (size_t *bytes, gw_device device))                                       \
  X(context_retain, "cuDevicePrimaryCtxRetain", (gw_context_t _Nullable *_Nonnull context, gw_device device))      \
  X(context_release, "cuDevicePrimaryCtxRelease_v2", (gw_device device))                                           \
  X(context_set, "cuCtxSetCurrent", (gw_context_t _Nullable context))                                              \
  X(memory_info, "cuMemGetInfo_v2", (size_t *free, size_t *total))                                                 \
  X(allocate, "cuMemAlloc_v2", (gw_address * address, size_t bytes))                                               \
  X(free, "cuMemFree_v2", (gw_address address))                                                                    \
  X(allocate_host, "cuMemAllocHost_v2", (void *_Nullable *_Nonnull address, size_t bytes))                         \
  X(free_host, "cuMemFreeHost", (void *address))                                                                   \
  X(copy_to_device, "cuMemcpyHtoDAsync_v2", (gw_address to, const void *from, size_t bytes, gw_stream_t stream))   \
  X(copy_to_host, "cuMemcpyDtoHAsync_v2", (void *to, gw_address from, size_t bytes, gw_stream_t stream))           \
  X(copy_on_device, "cuMemcpyDtoDAsync_v2", (gw_address to, gw_address from, size_t bytes, gw_stream_t stream))    \
  X(fill_bytes, "cuMemsetD8Async", (gw_address at, unsigned char value, size_t count, gw_stream_t stream))         \
  X(fill_words, "cuMemsetD32Async", (gw_address at, unsigned value, size_t count, gw_stream_t stream))             \
  X(stream_create, "cuStreamCreate", (gw_stream_t _Nullable *_Nonnull stream, unsigned flags))                     \
  X(stream_synchronize, "cuStreamSynchronize", (gw_stream_t stream))                                               \
  X(stream_destroy, "cuStreamDestroy_v2", (gw_stream_t stream))                                                    \
  X(stream_wait, "cuStreamWaitEvent", (gw_stream_t stream, gw_event_t event, unsigned flags))                      \
  X(capture_begin, "cuStreamBeginCapture_v2", (gw_stream_t stream, int mode))                                      \
  X(capture_end, "cuStreamEndCapture", (gw_stream_t stream, gw_graph_t _Nullable *_Nonnull graph))                 \
  X(capture_info, "cuStreamGetCaptureInfo_v2",                                                                     \
    (gw_stream_t stream, int *status, uint64_t *_Nullable number, gw_graph_t _Nullable *_Nullable graph,           \
     const gw_graph_node_t _Nonnull *_Nullable *_Nonnull nodes, size_t *count))                                    \
  X(capture_depends, "cuStreamUpdateCaptureDependencies",                                                          \
    (gw_stream_t stream, const gw_graph_node_t _Nonnull *_Nullable nodes, size_t count, unsigned flags))           \
  X(graph_instantiate, "cuGraphInstantiateWithFlags",                                                              \
    (gw_graph_exec_t _Nullable *_Nonnull exec, gw_graph_t graph, unsigned long long flags))                        \
  X(graph_launch, "cuGraphLaunch", (gw_graph_exec_t exec, gw_stream_t stream))                                     \
  X(graph_destroy, "cuGraphDestroy", (gw_graph_t graph))                                                           \
  X(graph_exec_destroy, "cuGraphExecDestroy", (gw_graph_exec_t exec))                                              \
  X(event_create, "cuEventCreate", (gw_event_t _Nullable *_Nonnull event, unsigned flags))                         \
  X(event_record, "cuEventRecord", (gw_event_t event, gw_stream_t stream))                                         \
  X(event_query, "cuEventQuery", (gw_event_t event))                                                               \
  X(event_synchronize, "cuEventSynchronize", (gw_event_t event))                                                   \
  X(event_elapsed, "cuEventElapsedTime", (float *milliseconds, gw_event_t from, gw_event_t to))                    \
  X(event_destroy, "cuEventDestroy_v2", (gw_event_t event))                                                        \
  X(module_load, "cuModuleLoadData", (gw_module_t _Nullable *_Nonnull module, const void *image))                  \
  X(module_unload, "cuModuleUnload", (gw_module_t module))                                                         \
  X(module_function, "cuModuleGetFunction",                                                                        \
    (gw_function_t _Nullable *_Nonnull function, gw_module_t module, const char *name))                            \
  X(function_set, "cuFuncSetAttribute", (gw_function_t function, int attribute, int value))                        \
  X(function_get, "cuFuncGetAttribute", (int *value, int attribute, gw_function_t function))                       \
  X(launch_ex, "cuLaunchKernelEx",                                                                                 \
    (const gw_launch_config *config, gw_function_t function, void *_Nullable *_Nullable parameters,                \
     void *_Nullable *_Nullable extra))                                                                            \
  X(launch, "cuLaunchKernel",                                                                                      \
    (gw_function_t function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,         \
     unsigned shared_bytes, gw_stream_t stream, void *_Nullable *_Nullable parameters,                             \
     void *_Nullable *_Nullable extra))                                                                            \
  X(tensor_map, "cuTensorMapEncodeTiled",                                                                          \
    (void *map, int type, uint32_t rank, void *address, const uint64_t *extents,                         \
     const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave, int swizzle,             \
     int promotion, int fill))                                                                                     \
  X(error_name, "cuGetErrorName", (gw_result code, const char *_Nullable *_Nonnull text))                          \
  X(error_string, "cuGetErrorString", (gw_result code, const char *_Nullable *_Nonnull text))

/// Every NVRTC entry point in use; results are nvrtcResult, 0 is success.
#define GW_NVRTC_SYMBOLS(X)                                                                                        \
  X(version, "nvrtcVersion", (int *major, int *minor))                                                             \
  X(create, "nvrtcCreateProgram",                                                                                  \
    (void *_Nullable *_Nonnull program, const char *source, const char *_Nullable name, int header_count,          \
     const char *const _Nullable *_Nullable headers, const char *const _Nullable *_Nullable names))                \
  X(compile, "nvrtcCompileProgram", (void *program, int count, const char *const _Nullable *_Nonnull options))     \
  X(log_size, "nvrtcGetProgramLogSize", (void *program, size_t *bytes))                                            \
  X(log, "nvrtcGetProgramLog", (void *program, char *text))                                                        \
  X(cubin_size, "nvrtcGetCUBINSize", (void *program, size_t *bytes))                                               \
  X(cubin, "nvrtcGetCUBIN", (void *program, char *image))                                                          \
  X(destroy, "nvrtcDestroyProgram", (void *_Nullable *_Nonnull program))

#define GW_FIELD(field, symbol, parameters) gw_result(*field) parameters;

/// The driver's entry points.
typedef struct {
  GW_DRIVER_SYMBOLS(GW_FIELD)
} gw_driver;

/// NVRTC's entry points.
typedef struct {
  GW_NVRTC_SYMBOLS(GW_FIELD)
} gw_nvrtc;

#undef GW_FIELD

/// Opens `library` (libcuda.so.1) for good and fills `driver`. Returns 0, or 1 where the library cannot be opened, or
/// 2 where it lacks an entry point; `message` then says which.
int gw_cuda_load(const char *library, gw_driver *driver, char *message, size_t capacity);

/// Opens NVRTC for good, with the built-in library that stands beside it, and fills `nvrtc`. `path` is the library's
/// own path or name. Returns as `gw_cuda_load`.
int gw_nvrtc_load(const char *path, gw_nvrtc *nvrtc, char *message, size_t capacity);

/// Launches blocks in one dimension with one parameter by value.
///
/// `cluster` is how many blocks form a cluster (1 for none); with `overlaps` the kernel may start before the one ahead
/// of it in the stream has ended, and waits for it itself.
gw_result gw_cuda_launch(
  const gw_driver *driver, gw_function_t function, unsigned blocks, unsigned threads, unsigned shared_bytes,
  gw_stream_t stream, unsigned cluster, int overlaps, const void *argument);

/// What is captured next waits for these nodes alone.
gw_result gw_cuda_capture_after(
  const gw_driver *driver, gw_stream_t stream, const gw_graph_node_t _Nonnull *_Nullable nodes, size_t count);

/// The node that was captured last.
gw_result gw_cuda_capture_last(const gw_driver *driver, gw_stream_t stream, gw_graph_node_t _Nullable *_Nonnull node);

#pragma clang assume_nonnull end
