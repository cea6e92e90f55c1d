#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "gw_cuda.h"

_Static_assert(sizeof(gw_launch_attribute) == 72, "CUlaunchAttribute has 72 bytes");
_Static_assert(sizeof(gw_launch_config) == 56, "CUlaunchConfig has 56 bytes");

static void *open_library(const char *name, char *message, size_t capacity) {
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    snprintf(message, capacity, "%s", reason ? reason : name);
  }
  return library;
}

static int resolve(void *library, const char *symbol, void *slot, const char *name, char *message, size_t capacity) {
  void *address = dlsym(library, symbol);
  if (!address) {
    snprintf(message, capacity, "%s has no %s", name, symbol);
    return 0;
  }
  memcpy(slot, &address, sizeof address);
  return 1;
}

#define RESOLVE(field, symbol, parameters) \
  if (!resolve(library, symbol, &table->field, name, message, capacity)) return 2;

int gw_cuda_load(const char *name, gw_driver *table, char *message, size_t capacity) {
  void *library = open_library(name, message, capacity);
  if (!library) return 1;
  GW_DRIVER_SYMBOLS(RESOLVE)
  return 0;
}

// NVRTC opens its built-in library by bare name at the first compilation; one that is already open under that name is
// taken, wherever it came from.
static void open_builtins(const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  if (!slash || (size_t)(slash - path) >= sizeof folder) return;
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  DIR *entries = opendir(folder[0] ? folder : "/");
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strncmp(entry->d_name, "libnvrtc-builtins.so.", 21)) continue;
    char full[sizeof folder + sizeof entry->d_name + 1];
    snprintf(full, sizeof full, "%s/%s", folder, entry->d_name);
    dlopen(full, RTLD_NOW | RTLD_GLOBAL);
  }
  closedir(entries);
}

int gw_nvrtc_load(const char *name, gw_nvrtc *table, char *message, size_t capacity) {
  void *library = open_library(name, message, capacity);
  if (!library) return 1;
  GW_NVRTC_SYMBOLS(RESOLVE)
  Dl_info found;
  if (dladdr((void *)table->version, &found) && found.dli_fname) open_builtins(found.dli_fname);
  return 0;
}

// CUlaunchAttributeID.
enum { CLUSTER_DIMENSION = 4, PROGRAMMATIC_STREAM_SERIALIZATION = 6 };

gw_result gw_cuda_launch(
  const gw_driver *driver, gw_function_t function, unsigned blocks, unsigned threads, unsigned shared_bytes,
  gw_stream_t stream, unsigned cluster, int overlaps, const void *argument) {
  void *parameters[] = {(void *)argument};
  if (cluster <= 1 && !overlaps) {
    return driver->launch(function, blocks, 1, 1, threads, 1, 1, shared_bytes, stream, parameters, NULL);
  }
  gw_launch_attribute attributes[2];
  memset(attributes, 0, sizeof attributes);
  unsigned count = 0;
  if (cluster > 1) {
    attributes[count].id = CLUSTER_DIMENSION;
    attributes[count].value.cluster.x = cluster;
    attributes[count].value.cluster.y = attributes[count].value.cluster.z = 1;
    count++;
  }
  if (overlaps) {
    attributes[count].id = PROGRAMMATIC_STREAM_SERIALIZATION;
    attributes[count].value.flag = 1;
    count++;
  }
  gw_launch_config config = {{blocks, 1, 1}, {threads, 1, 1}, shared_bytes, stream, attributes, count};
  return driver->launch_ex(&config, function, parameters, NULL);
}

gw_result gw_cuda_capture_after(
  const gw_driver *driver, gw_stream_t stream, const gw_graph_node_t *nodes, size_t count) {
  // CU_STREAM_SET_CAPTURE_DEPENDENCIES
  return driver->capture_depends(stream, nodes, count, 1);
}

gw_result gw_cuda_capture_last(const gw_driver *driver, gw_stream_t stream, gw_graph_node_t *node) {
  int status = 0;
  size_t count = 0;
  const gw_graph_node_t *nodes = NULL;
  *node = NULL;
  gw_result code = driver->capture_info(stream, &status, NULL, NULL, &nodes, &count);
  if (code) return code;
  // CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, where nothing or more than one is what comes next waits for.
  if (count != 1) return 901;
  *node = nodes[0];
  return 0;
}
