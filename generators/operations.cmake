# SPDX-License-Identifier: Apache-2.0
# The operations: for each kernel its operation and part (runtime/dispatch.h), the generator that
# describes it, and what it fixes of the generator's parameters. Each is built for every dtype.
halnorm_kernel(layer_norm_forward row            layer_norm_forward tree=one_chunk)
halnorm_kernel(layer_norm_forward long_row       layer_norm_forward tree=many_chunks)
halnorm_kernel(layer_norm_forward columns        layer_norm_forward tree=columns)
halnorm_kernel(rms_norm_forward   row            rms_norm_forward   tree=one_chunk)
halnorm_kernel(rms_norm_forward   long_row       rms_norm_forward   tree=many_chunks)
halnorm_kernel(rms_norm_forward   columns        rms_norm_forward   tree=columns)
halnorm_kernel(any_norm           moments        row_moments)
halnorm_kernel(any_norm           fold           row_fold)
halnorm_kernel(any_norm           apply          row_apply)
halnorm_kernel(any_norm           column_moments column_moments)
halnorm_kernel(any_norm           column_fold    column_fold)
halnorm_kernel(any_norm           column_apply   column_apply)
halnorm_kernel(any_norm           parameter      parameter)
