// A GPU that is not there: the CUDA runtime, cuBLAS and cuDNN as far as torch asks them, with kernels that do nothing.
// Memory is the host's, filled with zeros. Capture rules are those that the CUDA documentation names.
#define _GNU_SOURCE
#include <cuda_runtime_api.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>
#include <time.h>
#include <sys/mman.h>
#include <unordered_map>
#include <execinfo.h>

namespace {
struct Graph;
struct Stream { int dev = 0; int prio = 0; Graph* graph = nullptr; bool origin = false; };
struct Event { double t = 0; Graph* graph = nullptr; bool recorded = false; bool timing = true; };
struct Node { int kind; void* dst; const void* src; size_t n; int value; std::string name; };
struct Graph { unsigned long long id; Stream* origin; int mode; bool invalid = false; std::vector<Node> nodes; std::set<Stream*> joined; unsigned long tid; };
struct Exec { std::vector<Node> nodes; };
struct Handle { Stream* stream = nullptr; char pad[1024]; };

std::recursive_mutex mu;
Stream legacy[16];
std::map<uintptr_t, std::pair<size_t,int>> ranges;   // kind 2 device, 1 host
unsigned long long next_id = 1;
std::unordered_map<const void*, std::string> names;
std::map<std::string, unsigned long> counts;
thread_local int device = 0;
thread_local int exchange_mode = 0;   // cudaStreamCaptureModeGlobal
thread_local cudaError_t last_error = cudaSuccess;
std::set<Graph*> capturing;
size_t used = 0, peak = 0;
unsigned long n_sync = 0, n_launch = 0, n_lib = 0, n_graph = 0, n_h2d_pageable = 0, n_copy = 0, n_malloc=0;
int verbose = getenv("PHANTOM_VERBOSE") ? atoi(getenv("PHANTOM_VERBOSE")) : 0;
// Asked anew each time, as a forked process has an environment of its own.
size_t setting(const char* name, size_t otherwise) { const char* value = getenv(name); return value ? atol(value) : otherwise; }
size_t total_memory() { return setting("PHANTOM_GB", 80) << 30; }

double now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
unsigned long self() { return (unsigned long)pthread_self(); }
Stream* S(cudaStream_t s) { uintptr_t v = (uintptr_t)s; return v <= 2 ? &legacy[device] : (Stream*)s; }
cudaError_t fail(cudaError_t e) { last_error = e; return e; }
int kind_of(const void* p) {
  std::lock_guard<std::recursive_mutex> l(mu);
  auto it = ranges.upper_bound((uintptr_t)p);
  if (it == ranges.begin()) return 0;
  --it; return (uintptr_t)p < it->first + it->second.first ? it->second.second : 0;
}
void tell(const char* what) { if (verbose) { fprintf(stderr, "phantom: %s\n", what); if (verbose > 1) { void* b[40]; int n = backtrace(b, 40); backtrace_symbols_fd(b, n, 2);} } }
// An unsafe call: forbidden in this thread while a capture in global or thread-local mode that it began is under way.
bool unsafe(const char* what) {
  std::lock_guard<std::recursive_mutex> l(mu);
  if (exchange_mode == cudaStreamCaptureModeRelaxed) return false;
  for (Graph* g : capturing)
    if (g->mode == cudaStreamCaptureModeGlobal || (g->mode == cudaStreamCaptureModeThreadLocal && g->tid == self())) { g->invalid = true; tell(what); return true; }
  return false;
}
bool sync_stream(Stream* s, const char* what) {
  std::lock_guard<std::recursive_mutex> l(mu);
  n_sync++;
  if (s->graph) { s->graph->invalid = true; tell(what); return true; }
  return false;
}
bool add(Stream* s, Node n) {
  std::lock_guard<std::recursive_mutex> l(mu);
  counts[n.name]++;
  if (s->graph) { s->graph->nodes.push_back(std::move(n)); return true; }
  return false;
}
}

extern "C" {
// what Python asks
void phantom_reset() { std::lock_guard<std::recursive_mutex> l(mu); counts.clear(); n_sync = n_launch = n_lib = n_graph = n_h2d_pageable = n_copy = n_malloc = 0; }
unsigned long phantom_get(int i) { unsigned long v[] = {n_sync, n_launch, n_lib, n_graph, n_h2d_pageable, n_copy, used, peak, n_malloc}; return v[i]; }
void phantom_dump(const char* path) { std::lock_guard<std::recursive_mutex> l(mu); FILE* f = fopen(path, "w"); for (auto& c : counts) fprintf(f, "%lu\t%s\n", c.second, c.first.c_str()); fclose(f); }
void phantom_graph(void* exec, const char* path) { Exec* e = (Exec*)exec; std::map<std::string, unsigned long> c; for (auto& n : e->nodes) c[n.name]++; FILE* f = fopen(path, "w"); for (auto& x : c) fprintf(f, "%lu\t%s\n", x.second, x.first.c_str()); fclose(f); }
static Exec* last_exec = nullptr;
void phantom_last_graph(const char* path) { if (last_exec) phantom_graph(last_exec, path); }
unsigned long phantom_last_graph_nodes() { return last_exec ? last_exec->nodes.size() : 0; }

cudaError_t cudaGetDeviceCount(int* n) { *n = setting("PHANTOM_GPUS", 1); return cudaSuccess; }
cudaError_t cudaGetDevice(int* d) { *d = device; return cudaSuccess; }
cudaError_t cudaSetDevice(int d) { device = d; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  memset(p, 0, sizeof *p); strcpy(p->name, "NVIDIA H100 80GB HBM3 (phantom)");
  p->totalGlobalMem = total_memory(); p->sharedMemPerBlock = 49152; p->regsPerBlock = 65536; p->warpSize = 32;
  p->memPitch = 2147483647; p->maxThreadsPerBlock = 1024; p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024; p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 2147483647; p->maxGridSize[1] = p->maxGridSize[2] = 65535; p->totalConstMem = 65536; p->major = setting("PHANTOM_CC", 9); p->minor = 0;
  p->textureAlignment = 512; p->texturePitchAlignment = 32; p->multiProcessorCount = 132; p->canMapHostMemory = 1; p->unifiedAddressing = 1;
  p->memoryBusWidth = 5120; p->l2CacheSize = 50 << 20; p->maxThreadsPerMultiProcessor = 2048; p->streamPrioritiesSupported = 1;
  p->sharedMemPerMultiprocessor = 233472; p->regsPerMultiprocessor = 65536; p->cooperativeLaunch = 1; p->sharedMemPerBlockOptin = 232448;
  p->maxBlocksPerMultiProcessor = 32; p->concurrentKernels = 1; p->asyncEngineCount = 3; p->memoryPoolsSupported = 1; p->surfaceAlignment = 512;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int) {
  switch (a) { case cudaDevAttrMultiProcessorCount: *v = 132; break; case cudaDevAttrMaxThreadsPerBlock: *v = 1024; break; case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = 232448; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *v = 49152; break; case cudaDevAttrComputeCapabilityMajor: *v = 9; break; case cudaDevAttrComputeCapabilityMinor: *v = 0; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *v = 2048; break; case cudaDevAttrWarpSize: *v = 32; break; case cudaDevAttrMaxBlocksPerMultiprocessor: *v = 32; break; case cudaDevAttrL2CacheSize: *v = 50 << 20; break;
    case cudaDevAttrMaxGridDimX: *v = 2147483647; break; case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *v = 233472; break; default: *v = 1; }
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* s, int n, int) { snprintf(s, n, "0000:01:00.0"); return cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* a, int* b) { if (a) *a = 0; if (b) *b = -5; return cudaSuccess; }
cudaError_t cudaDeviceCanAccessPeer(int* v, int, int) { *v = 0; return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* f, size_t* t) { *f = total_memory() - used; *t = total_memory(); return cudaSuccess; }
cudaError_t cudaGetLastError() { cudaError_t e = last_error; last_error = cudaSuccess; return e; }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t e) { static thread_local char b[64]; snprintf(b, 64, "cudaError%d", (int)e); return b; }
const char* cudaGetErrorString(cudaError_t e) { switch ((int)e) { case 0: return "no error"; case 2: return "out of memory"; case 900: return "operation not permitted when stream is capturing"; case 901: return "operation failed due to a previous error during capture"; case 904: return "capturing stream has unjoined work"; case 906: return "operation would make the legacy stream depend on a capturing blocking stream"; case 907: return "operation not permitted on an event last recorded in a capturing stream"; } return "phantom error"; }

cudaError_t cudaMalloc(void** p, size_t n) {
  if (unsafe("cudaMalloc while capturing")) return fail(cudaErrorStreamCaptureUnsupported);
  std::lock_guard<std::recursive_mutex> l(mu);
  if (used + n > total_memory()) return fail(cudaErrorMemoryAllocation);
  *p = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (*p == MAP_FAILED) return fail(cudaErrorMemoryAllocation);
  ranges[(uintptr_t)*p] = {n, 2}; used += n; if (used > peak) peak = used; n_malloc++;
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  if (!p) return cudaSuccess;
  if (unsafe("cudaFree while capturing")) return fail(cudaErrorStreamCaptureUnsupported);
  std::lock_guard<std::recursive_mutex> l(mu);
  auto it = ranges.find((uintptr_t)p); if (it != ranges.end()) { used -= it->second.first; munmap(p, it->second.first); ranges.erase(it); }
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** p, size_t n, cudaStream_t) { return cudaMalloc(p, n); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t) { return cudaFree(p); }
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) {
  if (unsafe("cudaHostAlloc while capturing")) return fail(cudaErrorStreamCaptureUnsupported);
  if (posix_memalign(p, 4096, n ? n : 1)) return cudaErrorMemoryAllocation;
  std::lock_guard<std::recursive_mutex> l(mu); ranges[(uintptr_t)*p] = {n, 1}; return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) { std::lock_guard<std::recursive_mutex> l(mu); ranges.erase((uintptr_t)p); free(p); return cudaSuccess; }
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  memset(a, 0, sizeof *a); int k = kind_of(p); a->type = k == 2 ? cudaMemoryTypeDevice : k == 1 ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
  a->device = 0; a->devicePointer = (void*)p; a->hostPointer = k == 2 ? nullptr : (void*)p; return cudaSuccess;
}
static cudaError_t copy(void* d, const void* s, size_t n, Stream* st, bool async, int kind) {
  n_copy++;
  int ks = kind_of(s), kd = kind_of(d);
  if (!async && unsafe("cudaMemcpy while capturing")) return fail(cudaErrorStreamCaptureImplicit);
  if (ks == 0 || kd == 0) n_h2d_pageable++;
  const char* name = ks == 2 && kd == 2 ? "memcpy DtoD" : kd == 2 ? (ks == 1 ? "memcpy HtoD pinned" : "memcpy HtoD pageable") : "memcpy DtoH";
  if (add(st, {1, d, s, n, 0, name})) return cudaSuccess;
  // What no kernel has computed is read as zero; a single value may be one that was put there, as a learning rate is.
  if (ks == 2 && kd != 2 && n > 8) memset(d, 0, n); else memcpy(d, s, n);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* d, const void* s, size_t n, cudaMemcpyKind k, cudaStream_t st) { return copy(d, s, n, S(st), true, k); }
cudaError_t cudaMemcpy(void* d, const void* s, size_t n, cudaMemcpyKind k) { n_sync++; return copy(d, s, n, &legacy[device], false, k); }
cudaError_t cudaMemcpyPeerAsync(void* d, int, const void* s, int, size_t n, cudaStream_t st) { return copy(d, s, n, S(st), true, 3); }
cudaError_t cudaMemset(void* d, int v, size_t n) { memset(d, v, n); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void* d, int v, size_t n, cudaStream_t st) { if (!add(S(st), {2, d, nullptr, n, v, "memset"})) memset(d, v, n); return cudaSuccess; }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned, int p) { if (unsafe("cudaStreamCreate")) return fail(cudaErrorStreamCaptureUnsupported); Stream* n = new Stream; n->dev = device; n->prio = p; *s = (cudaStream_t)n; return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned f) { return cudaStreamCreateWithPriority(s, f, 0); }
cudaError_t cudaStreamCreate(cudaStream_t* s) { return cudaStreamCreateWithPriority(s, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamGetPriority(cudaStream_t s, int* p) { *p = S(s)->prio; return cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t s) { return sync_stream(S(s), "cudaStreamQuery of a capturing stream") ? fail(cudaErrorStreamCaptureUnsupported) : cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  if (sync_stream(S(s), "cudaStreamSynchronize of a capturing stream")) return fail(cudaErrorStreamCaptureUnsupported);
  if (S(s) == &legacy[device] && unsafe("synchronize of the legacy stream while capturing")) return fail(cudaErrorStreamCaptureImplicit);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { n_sync++; return unsafe("cudaDeviceSynchronize while capturing") ? fail(cudaErrorStreamCaptureUnsupported) : cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* st) { Stream* x = S(s); *st = !x->graph ? cudaStreamCaptureStatusNone : x->graph->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive; return cudaSuccess; }
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t s, cudaStreamCaptureStatus* st, unsigned long long* id, cudaGraph_t* g, const cudaGraphNode_t** d, const cudaGraphEdgeData** e, size_t* n) {
  Stream* x = S(s); cudaStreamIsCapturing(s, st); if (x->graph) { if (id) *id = x->graph->id; if (g) *g = (cudaGraph_t)x->graph; } if (d) *d = nullptr; if (e) *e = nullptr; if (n) *n = 0; return cudaSuccess; }
cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t, cudaGraphNode_t*, const cudaGraphEdgeData*, size_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode m) {
  std::lock_guard<std::recursive_mutex> l(mu); Stream* x = S(s);
  if (x == &legacy[device]) return fail(cudaErrorStreamCaptureUnsupported); if (x->graph) return fail(cudaErrorIllegalState);
  Graph* g = new Graph; g->id = next_id++; g->origin = x; g->mode = m; g->tid = self(); g->joined.insert(x); x->graph = g; capturing.insert(g); return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* out) {
  std::lock_guard<std::recursive_mutex> l(mu); Stream* x = S(s); if (!x->graph) return fail(cudaErrorIllegalState);
  Graph* g = x->graph; for (Stream* j : g->joined) j->graph = nullptr; capturing.erase(g);
  if (g->invalid) { *out = nullptr; return fail(cudaErrorStreamCaptureInvalidated); }
  *out = (cudaGraph_t)g; return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* m) { int o = exchange_mode; exchange_mode = *m; *m = (cudaStreamCaptureMode)o; return cudaSuccess; }
cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t*, size_t* n) { *n = ((Graph*)g)->nodes.size(); return cudaSuccess; }
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* e, cudaGraph_t g, unsigned long long) { Exec* x = new Exec{((Graph*)g)->nodes}; last_exec = x; *e = (cudaGraphExec_t)x; return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s) { n_graph++; for (auto& n : ((Exec*)e)->nodes) { if (n.kind == 1) memcpy(n.dst, n.src, n.n); else if (n.kind == 2) memset(n.dst, n.value, n.n); } return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned f) { Event* n = new Event; n->timing = !(f & 2); *e = (cudaEvent_t)n; return cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t e) { delete (Event*)e; return cudaSuccess; }
cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned) { Event* x = (Event*)e; x->t = now(); x->recorded = true; x->graph = S(s)->graph; return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) { return cudaEventRecordWithFlags(e, s, 0); }
static cudaError_t event_used(Event* e, const char* what) {
  std::lock_guard<std::recursive_mutex> l(mu);
  if (e->graph && capturing.count(e->graph)) { e->graph->invalid = true; tell(what); return fail(cudaErrorCapturedEvent); }
  return unsafe(what) ? fail(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t e) { return event_used((Event*)e, "cudaEventQuery while capturing"); }
cudaError_t cudaEventSynchronize(cudaEvent_t e) { n_sync++; return event_used((Event*)e, "cudaEventSynchronize while capturing"); }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t a, cudaEvent_t b) { *ms = (float)((((Event*)b)->t - ((Event*)a)->t) * 1e3); return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  std::lock_guard<std::recursive_mutex> l(mu); Stream* x = S(s); Event* v = (Event*)e;
  Graph* g = v->graph && capturing.count(v->graph) ? v->graph : nullptr;
  if (g && !x->graph) { if (x == &legacy[device]) { g->invalid = true; tell("legacy stream waits for a capturing one"); return fail(cudaErrorStreamCaptureImplicit); } x->graph = g; g->joined.insert(x); }
  else if (!g && x->graph && v->recorded) { x->graph->invalid = true; tell("a capturing stream waits for an event recorded outside the capture"); return fail(cudaErrorStreamCaptureIsolation); }
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t f, void* d) { f(d); return cudaSuccess; }
cudaError_t cudaStreamAddCallback(cudaStream_t s, cudaStreamCallback_t f, void* d, unsigned) { f(s, cudaSuccess, d); return cudaSuccess; }

void** __cudaRegisterFatBinary(void*) { static void* h = nullptr; return &h; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 0; }
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*, void*, void*, void*, int*) { std::lock_guard<std::recursive_mutex> l(mu); names[host] = name; }
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
struct Config { dim3 g, b; size_t s; void* st; };
static thread_local std::vector<Config> configs;
unsigned __cudaPushCallConfiguration(dim3 g, dim3 b, size_t s, void* st) { configs.push_back({g, b, s, st}); return 0; }
cudaError_t __cudaPopCallConfiguration(dim3* g, dim3* b, size_t* s, void* st) { Config c = configs.back(); configs.pop_back(); *g = c.g; *b = c.b; *s = c.s; *(void**)st = c.st; return cudaSuccess; }
cudaError_t __cudaGetKernel(void** k, const void* host) { *k = (void*)host; return cudaSuccess; }
static cudaError_t launch(const void* f, cudaStream_t st) { n_launch++; auto it = names.find(f); add(S(st), {0, nullptr, nullptr, 0, 0, it == names.end() ? "kernel" : it->second}); return cudaSuccess; }
void phantom_driver_launch(const char* name, void* st) { n_launch++; add(S((cudaStream_t)st), {0, nullptr, nullptr, 0, 0, std::string("triton ") + name}); }
cudaError_t __cudaLaunchKernel(void* k, dim3, dim3, void**, size_t, cudaStream_t st) { return launch(k, st); }
cudaError_t cudaLaunchKernel(const void* f, dim3, dim3, void**, size_t, cudaStream_t st) { return launch(f, st); }
cudaError_t cudaLaunchCooperativeKernel(const void* f, dim3, dim3, void**, size_t, cudaStream_t st) { return launch(f, st); }
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* f, void**) { return launch(f, c->stream); }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void*) { memset(a, 0, sizeof *a); a->maxThreadsPerBlock = 1024; a->numRegs = 32; a->binaryVersion = 90; a->ptxVersion = 90; a->maxDynamicSharedSizeBytes = 232448; return cudaSuccess; }
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, const void*, int, size_t) { *n = 2; return cudaSuccess; }
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n, const void*, int, size_t, unsigned) { *n = 2; return cudaSuccess; }
cudaError_t cudaGetSymbolAddress(void** p, const void*) { static char b[1 << 20]; *p = b; return cudaSuccess; }
cudaError_t cudaGetDriverEntryPointByVersion(const char* s, void** f, unsigned, unsigned long long, cudaDriverEntryPointQueryResult* r) { *f = nullptr; if (r) *r = cudaDriverEntryPointSymbolNotFound; return cudaSuccess; }

// libraries
static int lib(const char* name, void* h) { n_lib++; Stream* s = h && ((Handle*)h)->stream ? ((Handle*)h)->stream : &legacy[device]; add(s, {3, nullptr, nullptr, 0, 0, name}); return 0; }
int cublasCreate_v2(void** h) { *h = new Handle(); return 0; }
int cublasSetStream_v2(void* h, cudaStream_t s) { ((Handle*)h)->stream = S(s); return 0; }
int cublasGetMathMode(void*, int* m) { *m = 0; return 0; }
int cublasGetPointerMode_v2(void*, int* m) { *m = 0; return 0; }
int cublasSgemm_v2(void* h) { return lib("cublas sgemm", h); }
int cublasGemmEx(void* h) { return lib("cublas gemmEx", h); }
int cublasSgemmStridedBatched(void* h) { return lib("cublas sgemmStridedBatched", h); }
int cublasGemmStridedBatchedEx(void* h) { return lib("cublas gemmStridedBatchedEx", h); }
int cublasSgemv_v2(void* h) { return lib("cublas sgemv", h); }
int cublasSdot_v2(void* h) { return lib("cublas sdot", h); }
int cublasDotEx(void* h) { return lib("cublas dotEx", h); }
int cublasDgemm_v2(void* h) { return lib("cublas dgemm", h); }
int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void* r, int* n) { memset(r, 0, 128); *n = 1; return 0; }
int cublasLtMatmul(void* h) { return lib("cublasLt matmul", nullptr); }
size_t cublasLtGetVersion() { return 130100; }
size_t cudnnGetVersion() { return 92400; }
size_t cudnnGetCudartVersion() { return 13000; }
int cudnnGetProperty(int t, int* v) { int x[] = {9, 24, 0, 0}; *v = x[t & 3]; return 0; }
const char* cudnnGetErrorString(int) { return "phantom cudnn"; }
void cudnnGetLastErrorString(char* s, size_t n) { if (n) *s = 0; }
int cudnnCreate(void** h) { *h = new Handle(); return 0; }
int cudnnSetStream(void* h, cudaStream_t s) { ((Handle*)h)->stream = S(s); return 0; }
int cudnnGetStream(void* h, cudaStream_t* s) { *s = (cudaStream_t)((Handle*)h)->stream; return 0; }
int cudnnBackendCreateDescriptor(int, void** d) { *d = calloc(1, 256); return 0; }
int cudnnBackendDestroyDescriptor(void* d) { free(d); return 0; }
int cudnnBackendGetAttribute(void*, int name, int type, int64_t requested, int64_t* count, void* out) {
  if (type == 15 /* BACKEND_DESCRIPTOR */) { if (count) *count = 1; return 0; }
  if (type == 3 /* INT64 */) { if (count) *count = 1; if (out && requested > 0) *(int64_t*)out = 0; return 0; }
  if (count) *count = 0; return 0;
}
int cudnnBackendExecute(void* h, void*, void*) { return lib("cudnn execute", h); }
int cudnnBatchNormalizationForwardTrainingEx(void* h) { return lib("cudnn bn forward", h); }
int cudnnBatchNormalizationBackwardEx(void* h) { return lib("cudnn bn backward", h); }
int cudnnBatchNormalizationForwardInference(void* h) { return lib("cudnn bn inference", h); }
int cudnnConvolutionForward(void* h) { return lib("cudnn conv forward v7", h); }
int cudnnConvolutionBackwardData(void* h) { return lib("cudnn conv bwd data v7", h); }
int cudnnConvolutionBackwardFilter(void* h) { return lib("cudnn conv bwd filter v7", h); }
int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(void*, int, int, void*, void*, void*, void*, void*, size_t* s) { *s = 0; return 0; }
int cudnnGetBatchNormalizationBackwardExWorkspaceSize(void*, int, int, void*, void*, void*, void*, void*, void*, void*, size_t* s) { *s = 0; return 0; }
int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void*, int, int, void*, void*, size_t* s) { *s = 64; return 0; }
int cudnnSpatialTfSamplerForward(void* h) { return lib("cudnn grid sampler", h); }
}
