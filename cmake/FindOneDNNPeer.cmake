# SPDX-License-Identifier: Apache-2.0
#
# Finds the oneDNN that the benchmarks compare with (bench/requirements.txt).
#
# Hint:    HALNORM_ONEDNN_ROOT  the virtual environment with the two packages. When it is set,
#                               nothing else is searched.
# Results: OneDNNPeer_FOUND, OneDNNPeer_VERSION, and the imported target oneDNN::peer.
#
# A peer must run on the GNU OpenMP runtime: with another one the benchmark would set the thread
# count in a runtime that oneDNN does not use, and compare different numbers of threads.

set(_OneDNNPeer_where)
if(HALNORM_ONEDNN_ROOT)
  set(_OneDNNPeer_where HINTS "${HALNORM_ONEDNN_ROOT}" NO_DEFAULT_PATH)
endif()

# NO_CACHE: a changed HALNORM_ONEDNN_ROOT must not go on measuring the library found before.
find_path(OneDNNPeer_INCLUDE_DIR
  NAMES oneapi/dnnl/dnnl.h
  PATH_SUFFIXES include
  NO_CACHE
  ${_OneDNNPeer_where})
find_library(OneDNNPeer_LIBRARY
  NAMES dnnl
  PATH_SUFFIXES lib
  NO_CACHE
  ${_OneDNNPeer_where})

# GCC keeps libgomp in a directory of its own, which CMake does not search unless told. Not
# find_package(OpenMP): with Clang that is another runtime.
find_library(OneDNNPeer_GOMP_LIBRARY
  NAMES gomp libgomp.so.1
  HINTS ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES}
  NO_CACHE)

set(_OneDNNPeer_why_not)
set(_OneDNNPeer_runs_on_gomp FALSE)
set(OneDNNPeer_VERSION)

if(OneDNNPeer_INCLUDE_DIR)
  set(_OneDNNPeer_version_header "${OneDNNPeer_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h")
  if(EXISTS "${_OneDNNPeer_version_header}")
    foreach(_OneDNNPeer_part IN ITEMS MAJOR MINOR PATCH)
      file(STRINGS "${_OneDNNPeer_version_header}" _OneDNNPeer_line
        REGEX "^#define DNNL_VERSION_${_OneDNNPeer_part} +[0-9]+" LIMIT_COUNT 1)
      string(REGEX MATCH "[0-9]+$" _OneDNNPeer_${_OneDNNPeer_part} "${_OneDNNPeer_line}")
    endforeach()
    set(OneDNNPeer_VERSION
      "${_OneDNNPeer_MAJOR}.${_OneDNNPeer_MINOR}.${_OneDNNPeer_PATCH}")
  endif()
endif()

if(OneDNNPeer_LIBRARY)
  # The header names OpenMP but not whose; the library's own dependency does.
  file(STRINGS "${OneDNNPeer_LIBRARY}" _OneDNNPeer_line
    REGEX "^libgomp\\.so\\.1$" LIMIT_COUNT 1)
  if(_OneDNNPeer_line)
    set(_OneDNNPeer_runs_on_gomp TRUE)
  else()
    set(_OneDNNPeer_why_not "${OneDNNPeer_LIBRARY} does not use the GNU OpenMP runtime")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNNPeer
  REQUIRED_VARS
    OneDNNPeer_LIBRARY
    OneDNNPeer_INCLUDE_DIR
    OneDNNPeer_GOMP_LIBRARY
    _OneDNNPeer_runs_on_gomp
  VERSION_VAR OneDNNPeer_VERSION
  REASON_FAILURE_MESSAGE "${_OneDNNPeer_why_not}")

if(OneDNNPeer_FOUND AND NOT TARGET oneDNN::peer)
  add_library(oneDNN::peer SHARED IMPORTED)
  set_target_properties(oneDNN::peer PROPERTIES
    IMPORTED_LOCATION "${OneDNNPeer_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${OneDNNPeer_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "${OneDNNPeer_GOMP_LIBRARY}")
endif()
