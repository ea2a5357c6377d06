//! Typed places in MuJoCo's structures.

use std::marker::PhantomData;

/// A count in `mjModel` (an `int64_t`).
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub name: &'static str,
    offset: usize,
}

impl Size {
    pub const fn new(name: &'static str, offset: usize) -> Self {
        Size { name, offset }
    }

    /// # Safety
    /// `model` is a live `mjModel` of the version that the table was made from.
    #[inline]
    pub unsafe fn get(self, model: *const u8) -> usize {
        // SAFETY: the caller vouches for the structure; the offset is that of this field.
        let count = unsafe { model.add(self.offset).cast::<i64>().read() };
        count as usize
    }
}

/// An array that a pointer in the structure leads to: `rows` objects of `columns` numbers each.
#[derive(Debug)]
pub struct Array<T> {
    pub name: &'static str,
    pub offset: usize,
    pub rows: Size,
    pub columns: usize,
    kind: PhantomData<T>,
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Array<T> {}

impl<T> Array<T> {
    pub const fn new(name: &'static str, offset: usize, rows: Size, columns: usize) -> Self {
        Array { name, offset, rows, columns, kind: PhantomData }
    }

    /// (name, offset, rows, columns, bytes of an element).
    pub const fn facts(self) -> (&'static str, usize, Size, usize, usize) {
        (self.name, self.offset, self.rows, self.columns, size_of::<T>())
    }

    /// # Safety
    /// `owner` (the structure that holds the pointer) and `model` are live, of the version that the table was made from, and
    /// stay unchanged for `'a`.
    #[inline]
    pub unsafe fn slice<'a>(self, owner: *const u8, model: *const u8) -> &'a [T] {
        // SAFETY: the caller vouches for both structures; MuJoCo allocates rows x columns elements at the pointer.
        unsafe {
            let len = self.rows.get(model) * self.columns;
            if len == 0 {
                return &[];
            }
            std::slice::from_raw_parts(owner.add(self.offset).cast::<*const T>().read(), len)
        }
    }

    /// # Safety
    /// As [`Array::slice`], and nothing else refers to the array for `'a`.
    #[inline]
    pub unsafe fn slice_mut<'a>(self, owner: *mut u8, model: *const u8) -> &'a mut [T] {
        // SAFETY: as in `slice`; the caller vouches that the borrow is exclusive.
        unsafe {
            let len = self.rows.get(model) * self.columns;
            if len == 0 {
                return &mut [];
            }
            std::slice::from_raw_parts_mut(owner.add(self.offset).cast::<*mut T>().read(), len)
        }
    }
}

/// `N` numbers that lie in the structure itself.
#[derive(Clone, Copy, Debug)]
pub struct Place<T, const N: usize> {
    pub offset: usize,
    kind: PhantomData<T>,
}

impl<T: Copy, const N: usize> Place<T, N> {
    pub const fn new(offset: usize) -> Self {
        Place { offset, kind: PhantomData }
    }

    /// # Safety
    /// `owner` is a live structure of the version that the table was made from.
    #[inline]
    pub unsafe fn array(self, owner: *const u8) -> [T; N] {
        // SAFETY: the caller vouches for the structure; the field is N numbers of this type.
        unsafe { owner.add(self.offset).cast::<[T; N]>().read() }
    }
}

impl<T: Copy> Place<T, 1> {
    /// # Safety
    /// As [`Place::array`].
    #[inline]
    pub unsafe fn get(self, owner: *const u8) -> T {
        // SAFETY: as in `array`.
        unsafe { owner.add(self.offset).cast::<T>().read() }
    }
}
