// SPDX-License-Identifier: Apache-2.0
//
// Reads a .npy file of float32: format version 1.0, dtype '<f4', C order, one or two dimensions.
// Anything else is refused with a message that says what was found and what was expected.
// The format is specified in NumPy's documentation, numpy.lib.format (NEP 1). C99 and C++.

#ifndef HALNORM_EXAMPLES_MINILM_NPY_H_
#define HALNORM_EXAMPLES_MINILM_NPY_H_

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct npy_array {
  float *data;  // free() it; NULL unless npy_read succeeded
  int32_t ndim;
  int64_t shape[2];  // shape[1] is 1 where ndim is 1
} npy_array;

// The value of a key of the header's Python dict, or NULL. The order of keys is not fixed.
static inline const char *npy_header_value(const char *header, const char *key) {
  const char *at = strstr(header, key);
  if (at == NULL) return NULL;
  at += strlen(key);
  while (*at == ' ') at++;
  if (*at++ != ':') return NULL;
  while (*at == ' ') at++;
  return at;
}

// Parses "(25, 384)" or "(384,)". Returns 0 on success.
static inline int npy_parse_shape(const char *at, npy_array *array) {
  array->ndim = 0;
  array->shape[0] = array->shape[1] = 1;
  if (*at++ != '(') return -1;
  for (;;) {
    while (*at == ' ') at++;
    if (*at == ')') break;
    // strtoll would take a sign, which no extent has.
    if (array->ndim == 2 || *at < '0' || *at > '9') return -1;
    char *end;
    errno = 0;
    array->shape[array->ndim++] = strtoll(at, &end, 10);
    if (errno != 0) return -1;
    for (at = end; *at == ' ';) at++;
    if (*at == ',') {
      at++;
    } else if (*at != ')') {
      return -1;
    }
  }
  return array->ndim == 0 ? -1 : 0;
}

// Checks the header's text and fills in ndim and shape. Returns 0 on success.
static inline int npy_parse_header(const char *path, const char *header, npy_array *array,
                                   char *error, size_t error_size) {
  static const struct {
    const char *key, *expected;
  } fixed[] = {{"'descr'", "'<f4'"}, {"'fortran_order'", "False"}};
  for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
    const char *value = npy_header_value(header, fixed[i].key);
    if (value == NULL || strncmp(value, fixed[i].expected, strlen(fixed[i].expected)) != 0) {
      if (value == NULL) value = "missing";
      snprintf(error, error_size, "%s: %s is %.*s, expected %s", path, fixed[i].key,
               (int)strcspn(value, ",}"), value, fixed[i].expected);
      return -1;
    }
  }
  const char *shape = npy_header_value(header, "'shape'");
  if (shape == NULL || npy_parse_shape(shape, array) != 0) {
    if (shape == NULL) shape = "missing";
    snprintf(error, error_size, "%s: 'shape' is %.*s, expected one or two extents, as (25, 384)",
             path, (int)strcspn(shape, ")") + 1, shape);
    return -1;
  }
  return 0;
}

// The part of npy_read that runs with the file open.
static inline int npy_read_stream(FILE *file, const char *path, npy_array *array, char *error,
                                  size_t error_size) {
  unsigned char preamble[10];  // magic, version, length of the header as a little-endian uint16
  if (fread(preamble, 1, sizeof preamble, file) != sizeof preamble ||
      memcmp(preamble, "\x93NUMPY", 6) != 0) {
    snprintf(error, error_size, "%s: no .npy file: it does not begin with \\x93NUMPY", path);
    return -1;
  }
  if (preamble[6] != 1 || preamble[7] != 0) {
    snprintf(error, error_size, "%s: .npy version is %d.%d, expected 1.0", path, preamble[6],
             preamble[7]);
    return -1;
  }
  char header[65536];  // a uint16 and the final zero
  const size_t header_size = (size_t)preamble[8] + 256u * (size_t)preamble[9];
  const size_t header_found = fread(header, 1, header_size, file);
  if (header_found != header_size) {
    snprintf(error, error_size, "%s: the header ends after %zu bytes, expected %zu", path,
             header_found, header_size);
    return -1;
  }
  header[header_size] = '\0';
  if (npy_parse_header(path, header, array, error, error_size) != 0) return -1;

  // The file's size is checked before memory is asked for: a damaged shape may name any number.
  const long begin = ftell(file);
  if (begin < 0 || fseek(file, 0, SEEK_END) != 0) {
    snprintf(error, error_size, "%s: cannot seek: %s", path, strerror(errno));
    return -1;
  }
  const long end = ftell(file);
  if (end < begin || fseek(file, begin, SEEK_SET) != 0) {
    snprintf(error, error_size, "%s: cannot seek: %s", path, strerror(errno));
    return -1;
  }
  const uint64_t found = (uint64_t)(end - begin);
  const uint64_t rows = (uint64_t)array->shape[0], columns = (uint64_t)array->shape[1];
  if ((columns != 0 && rows > UINT64_MAX / 4 / columns) || rows * columns * 4 != found ||
      found > SIZE_MAX) {
    snprintf(error, error_size, "%s: %llu bytes of data, expected %llu x %llu float32 of 4 bytes",
             path, (unsigned long long)found, (unsigned long long)rows,
             (unsigned long long)columns);
    return -1;
  }

  const size_t bytes = (size_t)found;
  array->data = (float *)malloc(bytes == 0 ? 1 : bytes);  // malloc(0) may return NULL
  if (array->data == NULL) {
    snprintf(error, error_size, "%s: out of memory for %zu bytes", path, bytes);
    return -1;
  }
  if (fread(array->data, 1, bytes, file) != bytes) {
    snprintf(error, error_size, "%s: cannot read %zu bytes of data", path, bytes);
    return -1;
  }
  // Put together from bytes, so that a big-endian machine reads the same numbers.
  for (size_t i = 0; i < bytes / 4; i++) {
    unsigned char b[4];
    memcpy(b, &array->data[i], sizeof b);
    const uint32_t word =
        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    memcpy(&array->data[i], &word, sizeof word);
  }
  return 0;
}

// Reads path into *array. Returns 0 on success; else -1, with a message in error.
static inline int npy_read(const char *path, npy_array *array, char *error, size_t error_size) {
  memset(array, 0, sizeof *array);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    snprintf(error, error_size, "%s: cannot open: %s", path, strerror(errno));
    return -1;
  }
  const int result = npy_read_stream(file, path, array, error, error_size);
  fclose(file);
  if (result != 0) {
    free(array->data);
    array->data = NULL;
  }
  return result;
}

#endif  // HALNORM_EXAMPLES_MINILM_NPY_H_
