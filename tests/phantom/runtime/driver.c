#define _GNU_SOURCE
#include <dlfcn.h>
int cuInit(unsigned f){return 0;}
int cuDevicePrimaryCtxGetState(int d,unsigned* f,int* a){if(f)*f=0;if(a)*a=1;return 0;}
int cuDeviceGetCount(int* n){*n=1;return 0;}
int cuDriverGetVersion(int* v){*v=13000;return 0;}
int cuGetErrorString(int e,const char** s){*s="phantom driver";return 0;}
int cuGetErrorName(int e,const char** s){*s="PHANTOM";return 0;}
int cuCtxGetCurrent(void** c){static int x;*c=&x;return 0;}
int cuDeviceGet(int* d,int n){*d=n;return 0;}
int cuGetProcAddress_v2(const char* s,void** f,int v,unsigned long long fl,int* st){*f=dlsym(RTLD_DEFAULT,s);if(st)*st=*f?0:1;return 0;}
int cuGetProcAddress(const char* s,void** f,int v,unsigned long long fl){*f=dlsym(RTLD_DEFAULT,s);return 0;}
int cuLaunchKernel(void* f,unsigned a,unsigned b,unsigned c,unsigned d,unsigned e,unsigned g,unsigned sh,void* st,void** p,void** x){ static void (*l)(const char*,void*); if(!l) l=dlsym(RTLD_DEFAULT,"phantom_driver_launch"); if(l) l((const char*)f,st); return 0;}
struct cfg{unsigned gx,gy,gz,bx,by,bz,sh; void* st;}; int cuLaunchKernelEx(struct cfg* c,void* f,void** p,void** x){ static void (*l)(const char*,void*); if(!l) l=dlsym(RTLD_DEFAULT,"phantom_driver_launch"); if(l) l((const char*)f,c->st); return 0;}
int cuModuleLoadData(void** m,const void* i){*m=(void*)1; return 0;}
#include <string.h>
int cuModuleGetFunction(void** f,void* m,const char* n){*f=strdup(n); return 0;}
int cuFuncGetAttribute(int* v,int a,void* f){*v = a==0?1024: a==4?32:0; return 0;}
int cuDeviceGetAttribute(int* v,int a,int d){ switch(a){case 97:*v=232448;break;case 8:*v=49152;break;case 16:*v=132;break;case 75:*v=9;break;case 76:*v=0;break;case 10:*v=32;break;case 12:*v=65536;break;case 39:*v=2048;break;case 13:*v=1980000;break;case 36:*v=2619000;break;case 37:*v=5120;break;case 1:*v=1024;break;default:*v=1;} return 0;}
int cuOccupancyMaxActiveClusters(int* n,void* f,void* c){*n=16;return 0;}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n,void* f,int b,unsigned long s){*n=2;return 0;}