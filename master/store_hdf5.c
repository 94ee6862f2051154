/* SPDX-License-Identifier: Apache-2.0 */
/* Files live in memory (the core driver without a backing file); closing one closes all
 * that is still open in it, so that error paths need not. Object times are not kept:
 * equal states give equal bytes. */
#include "master/store_hdf5.h"

#include <hdf5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store_plist.h"

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "headers name handles int64_t");

enum { INCREMENT = 4 << 20 }; /* bytes by which a file in memory grows */

void store_hdf5_quiet(struct store_hdf5_quiet *saved)
{
    H5Eget_auto2(H5E_DEFAULT, &saved->print, &saved->context);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void store_hdf5_loud(const struct store_hdf5_quiet *saved)
{
    H5Eset_auto2(H5E_DEFAULT, saved->print, saved->context);
}

static herr_t innermost(unsigned n, const H5E_error2_t *e, void *context)
{
    char *text = context;
    if (n == 0 && e->desc)
        snprintf(text, 200, ": %.190s", e->desc);
    return 0;
}

int store_hdf5_error(struct error *err, int status, const char *format, ...)
{
    char text[512], detail[200] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, detail);
    return error_set(err, status, "%s%s", text, detail);
}

/* Properties of a file in memory; negative on failure. */
static hid_t memory_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_fapl_core(access, INCREMENT, 0) < 0 ||
                        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0)) {
        H5Pclose(access);
        return -1;
    }
    return access;
}

hid_t store_hdf5_create(unsigned block)
{
    hid_t file = -1, access = memory_access(), creation = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && creation >= 0 && H5Pset_userblock(creation, block) >= 0)
        file = H5Fcreate("snapshot.h5", H5F_ACC_TRUNC, creation, access);
    if (access >= 0)
        H5Pclose(access);
    if (creation >= 0)
        H5Pclose(creation);
    return file;
}

hid_t store_hdf5_open(void *image, size_t size)
{
    hid_t file = -1, access = memory_access();
    if (access >= 0 && H5Pset_file_image(access, image, size) >= 0)
        file = H5Fopen("snapshot.h5", H5F_ACC_RDONLY, access);
    if (access >= 0)
        H5Pclose(access);
    return file;
}

int store_hdf5_image(hid_t file, unsigned block, uint8_t **ret, size_t *ret_size,
                     struct error *err)
{
    ssize_t size = -1;
    if (H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0)
        size = H5Fget_file_image(file, NULL, 0); /* without the user block */
    uint8_t *image = size > 0 ? malloc(block + (size_t)size) : NULL;
    if (!image || H5Fget_file_image(file, image + block, (size_t)size) != size) {
        free(image);
        return store_hdf5_error(err, ERROR_SYSTEM, "cannot make the snapshot's file");
    }
    memset(image, 0, block);
    *ret = image;
    *ret_size = block + (size_t)size;
    return 0;
}

static int put_attribute(hid_t at, const char *name, hid_t file_type, hid_t type,
                         const void *value, struct error *err)
{
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    int status = 0;
    if (space >= 0)
        attribute = H5Acreate2(at, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, value) < 0)
        status = store_hdf5_error(err, ERROR_SYSTEM, "cannot write attribute '%s'", name);
    if (attribute >= 0)
        H5Aclose(attribute);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

int store_hdf5_put_u64(hid_t at, const char *name, uint64_t v, struct error *err)
{
    return put_attribute(at, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &v, err);
}

int store_hdf5_put_f64(hid_t at, const char *name, double v, struct error *err)
{
    return put_attribute(at, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &v, err);
}

int store_hdf5_put_text(hid_t at, const char *name, const char *text, struct error *err)
{
    hid_t type = store_plist_text();
    int status = put_attribute(at, name, type, type, &text, err);
    if (type >= 0)
        H5Tclose(type);
    return status;
}

/* A scalar attribute of exactly this type of the file. */
static int get_attribute(hid_t at, const char *name, hid_t file_type, hid_t type,
                         void *ret, struct error *err)
{
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT), found = -1, space = -1;
    if (attribute >= 0) {
        found = H5Aget_type(attribute);
        space = H5Aget_space(attribute);
    }
    int status = 0;
    if (found < 0 || space < 0)
        status = store_hdf5_error(err, ERROR_CORRUPT, "attribute '%s' is missing", name);
    else if (H5Sget_simple_extent_npoints(space) != 1 ||
             (file_type >= 0 ? H5Tequal(found, file_type) : H5Tis_variable_str(found)) <=
                 0)
        status = error_set(err, ERROR_CORRUPT, "attribute '%s' has another type", name);
    else if (H5Aread(attribute, type, ret) < 0)
        status = store_hdf5_error(err, ERROR_CORRUPT, "cannot read attribute '%s'", name);
    if (space >= 0)
        H5Sclose(space);
    if (found >= 0)
        H5Tclose(found);
    if (attribute >= 0)
        H5Aclose(attribute);
    return status;
}

int store_hdf5_get_u64(hid_t at, const char *name, uint64_t *ret, struct error *err)
{
    return get_attribute(at, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, ret, err);
}

int store_hdf5_get_f64(hid_t at, const char *name, double *ret, struct error *err)
{
    return get_attribute(at, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, ret, err);
}

int store_hdf5_get_text(hid_t at, const char *name, char **ret, struct error *err)
{
    char *text = NULL;
    hid_t type = store_plist_text();
    int status = get_attribute(at, name, -1, type, &text, err);
    if (type >= 0)
        H5Tclose(type);
    if (status != 0)
        return status;
    char *copy = strdup(text ? text : "");
    H5free_memory(text);
    if (!copy)
        return error_set(err, ERROR_SYSTEM, "attribute '%s': out of memory", name);
    *ret = copy;
    return 0;
}
