/* SPDX-License-Identifier: Apache-2.0
 *
 * What the programs of this directory ask of a library that they linked in some way. */
#ifndef HALNORM_TESTS_LIBRARY_WORKS_H_
#define HALNORM_TESTS_LIBRARY_WORKS_H_

/* 1 if halnorm_layer_norm normalizes a row; says what is wrong otherwise. */
int halnorm_works(void);

#endif /* HALNORM_TESTS_LIBRARY_WORKS_H_ */
